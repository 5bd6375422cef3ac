#include "site/secret_filter.h"

#include <gtest/gtest.h>

namespace bundle::site {
namespace {

std::string filter(std::string_view text, const std::vector<std::string>& known = {}) {
  return filter_secrets(text, known).text;
}

// The secret stands where the log of a program may have it.
TEST(SecretFilter, TakesOut) {
  const std::string secret = "hunter2-0123456789";
  const char* const kForms[] = {
      "password: %\n",
      "PASSWORD=%\n",
      "registry-password = '%' and more",
      "{\"clientSecret\": \"%\", \"a\": 1}",
      "{\"data\":{\"api_key\":\"a\\\"%\"}}",
      "msg=\"started\" token=\"%\"",
      "exec: tool --token % --verbose",
      "exec: tool --password=%",
      "Authorization: Basic %\n",
      "got header authorization: Bearer %\n",
      "curl -H 'X: Bearer %'",
      "https://user:%@registry.example.com/v2/",
      "pulling from oci://%@host/path",
      "-----BEGIN EC PRIVATE KEY-----\n%\n-----END EC PRIVATE KEY-----\n",
      "{\"key\": \"-----BEGIN PRIVATE KEY-----\\n%\\n-----END PRIVATE KEY-----\\n\"}",
      "secret: |\n  first\n  %\nnext: 1\n",
      "stringData.password:\n    %\n",
      "client-key-data: %",
      "  Cookie: session=%\r\n",
      "K10abcdef0123456789::server:%",
      "eyJhbGciOi.%.xyz",
  };
  for (const std::string form : kForms) {
    std::string text = form;
    text.replace(text.find('%'), 1, secret);
    const FilteredText filtered = filter_secrets(text, {});
    EXPECT_EQ(filtered.text.find(secret), std::string::npos) << form << "\n-> " << filtered.text;
    EXPECT_GE(filtered.removed, 1U) << form;
  }
}

TEST(SecretFilter, LeavesTheRest) {
  for (const std::string_view text :
       {"the release 1.4.0 is active", "key id: EE37E77650E28CC9", "a token bucket of 5",
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
        "see https://registry.example.com:5000/v2/ for basic help", "{\"a\": [1, 2, 3]}"}) {
    EXPECT_EQ(filter(text), text);
  }
  EXPECT_EQ(filter("password: abc\nnext: 1\n"), "password: (removed)\nnext: 1\n");
  EXPECT_EQ(filter("{\"token\":\"abc\",\"b\":2}"), "{\"token\":\"(removed)\",\"b\":2}");
}

TEST(SecretFilter, KnownSecretsAnywhere) {
  EXPECT_EQ(filter("xxabcdefxx", {"abcdef"}), "xx(removed)xx");
  EXPECT_EQ(filter("abc", {"abc", ""}), "abc") << "too short to tell from ordinary text";
}

}  // namespace
}  // namespace bundle::site
