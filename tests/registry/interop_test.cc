// Foreign clients pull from the registry.
#include <gtest/gtest.h>

#include "registry/served_store.h"
#include "support/child_process.h"

namespace bundle::testing {
namespace {

class InteropTest : public RegistryTest {
 protected:
  std::string docker(const std::string& reference) {
    return "docker://127.0.0.1:" + std::to_string(port()) + "/" + reference;
  }
};

TEST_F(InteropTest, SkopeoPullsByTagAndDigestWithEqualDigests) {
  if (!have_program("skopeo")) GTEST_SKIP() << "skopeo is not installed";
  const TempDirectory out;
  const std::vector<std::pair<std::string, oci::Descriptor>> pulls{
      {"docker.io/library/redis:7.2", has.redis_old},
      {"library/redis@" + has.redis_new.digest.text(), has.redis_new},
      {"registry.example.com/app/server@" + has.server_amd64.digest.text(), has.server_amd64},
      {"app/server:1.1.0", has.server_new},
      {"app/server:sha256-" + has.server_index.digest.hex() + ".sig", has.signature}};
  int number = 0;
  for (const auto& [reference, descriptor] : pulls) {
    const std::string folder = (out / std::to_string(number++)).string();
    const auto copy = run_program({"skopeo", "copy", "--src-tls-verify=false", "--insecure-policy",
                                   "--preserve-digests", docker(reference), "dir:" + folder});
    ASSERT_EQ(copy.status, 0) << copy.output;
    EXPECT_EQ(sha256(read_file(posix_file_system(), folder + "/manifest.json", 1 << 22)),
              descriptor.digest)
        << reference;
  }
}

TEST_F(InteropTest, SkopeoListsTags) {
  if (!have_program("skopeo")) GTEST_SKIP() << "skopeo is not installed";
  const auto tags = run_program(
      {"skopeo", "list-tags", "--tls-verify=false", docker("registry.example.com/app/server")});
  EXPECT_EQ(tags.status, 0) << tags.output;
  for (const char* tag : {"\"1.0.0\"", "\"1.1.0\"", "\"latest\""}) {
    EXPECT_NE(tags.output.find(tag), std::string::npos) << tags.output;
  }
}

}  // namespace
}  // namespace bundle::testing
