#include "cluster/kubeconfig.h"

#include <gtest/gtest.h>

#include "bundle/error.h"

namespace bundle::cluster {
namespace {

// As k3s writes it, with short stand-ins for the certificates.
constexpr std::string_view kK3s = R"(apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
)";

ClusterAccess parse(std::string text, const std::string& context = "") {
  return parse_kubeconfig(posix_file_system(), text, "/etc/kubeconfig", context);
}

std::string with(std::string_view what, std::string_view instead) {
  std::string text(kK3s);
  const auto at = text.find(what);
  EXPECT_NE(at, text.npos) << what;
  return text.replace(at, what.size(), instead);
}

ErrorCode code_of(const std::string& text, const std::string& context = "") {
  try {
    parse(text, context);
  } catch (const Error& error) {
    EXPECT_FALSE(error.message().empty());
    EXPECT_EQ(error.message().find("S0VZ"), std::string::npos) << "a secret in a message";
    return error.code();
  }
  return ErrorCode::internal;
}

TEST(Kubeconfig, OfK3s) {
  const ClusterAccess access = parse(std::string(kK3s));
  EXPECT_EQ(access.server, "https://127.0.0.1:6443");
  EXPECT_EQ(access.tls.ca_pem, "CA");
  EXPECT_EQ(access.tls.client_cert_pem, "CERT");
  EXPECT_EQ(access.tls.client_key_pem, "KEY");
  EXPECT_EQ(access.token, "");
}

TEST(Kubeconfig, Token) {
  const std::string text = with(
      "    client-certificate-data: Q0VSVA==\n    client-key-data: S0VZ\n", "    token: abc.def\n");
  EXPECT_EQ(parse(text).token, "abc.def");
  EXPECT_EQ(code_of(with("client-key-data: S0VZ", "token: 'S0VZ\n\n b'")),
            ErrorCode::config_invalid);
}

TEST(Kubeconfig, ContextByName) {
  EXPECT_EQ(code_of(std::string(kK3s), "other"), ErrorCode::config_invalid);
  EXPECT_EQ(parse(with("current-context: default", "current-context: x"), "default").server,
            "https://127.0.0.1:6443");
}

TEST(Kubeconfig, Refused) {
  EXPECT_EQ(code_of(with("https://127.0.0.1:6443", "http://192.0.2.1:6443")),
            ErrorCode::config_invalid);
  EXPECT_EQ(parse(with("https://127.0.0.1:6443", "http://127.0.0.1:6443/")).server,
            "http://127.0.0.1:6443");
  EXPECT_EQ(code_of(with("    server:", "    insecure-skip-tls-verify: true\n    server:")),
            ErrorCode::config_invalid);
  EXPECT_EQ(code_of(with("client-key-data: S0VZ", "exec: {command: aws}")), ErrorCode::unsupported);
  EXPECT_EQ(code_of(with("client-key-data: S0VZ", "username: a\n    password: b")),
            ErrorCode::unsupported);
  EXPECT_EQ(code_of(with("    client-key-data: S0VZ\n", "")), ErrorCode::config_invalid);
  EXPECT_EQ(code_of(with("Q0E=", "not base64!")), ErrorCode::config_invalid);
  EXPECT_EQ(code_of(with("    user: default\n", "    user: nobody\n")), ErrorCode::config_invalid);
  EXPECT_EQ(code_of("[]"), ErrorCode::config_invalid);
  EXPECT_EQ(code_of("a: b"), ErrorCode::config_invalid);
  EXPECT_EQ(code_of("a: [1"), ErrorCode::config_invalid);
  EXPECT_EQ(code_of(with("certificate-authority-data: Q0E=", "certificate-authority: missing.pem")),
            ErrorCode::not_found);
}

}  // namespace
}  // namespace bundle::cluster
