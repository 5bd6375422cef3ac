// TLS with a private authority, made by the openssl program; TLS itself is Python's, in front of a
// scripted plain server.
#include <gtest/gtest.h>

#include "support/certificates.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/fake_registry.h"
#include "support/temp_directory.h"
#include "transfer/registry_source.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using testing::Certificates;
using testing::ChildProcess;
using testing::expect_error;
using testing::FakeRegistry;
using testing::ReceivedRequest;
using testing::ScriptedReply;
using testing::TempDirectory;

class RegistryTlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { certificates = std::make_unique<Certificates>(); }
  static void TearDownTestSuite() { certificates.reset(); }
  static std::unique_ptr<Certificates> certificates;

  // Puts TLS in front of the registry and returns its host.
  std::string start(const std::string& leaf, const std::string& client_ca = {}) {
    const int port = testing::free_port();
    std::vector<std::string> command = {
        "python3",
        std::string(BUNDLE_SOURCE_DIR) + "/tests/support/tls_front.py",
        std::to_string(port),
        std::to_string(registry_.server().port()),
        certificates->file(leaf + ".cert"),
        certificates->file(leaf + ".key")};
    if (!client_ca.empty()) command.push_back(certificates->file(client_ca + ".crt"));
    front_ = std::make_unique<ChildProcess>(command, (temp_ / "front.log").string());
    EXPECT_TRUE(testing::wait_for_port(port, 20s));
    return "127.0.0.1:" + std::to_string(port);
  }
  std::shared_ptr<oci::ContentSource> open(const std::string& host, const TlsFiles& tls) {
    RegistryOptions options;
    options.auth_file = temp_.write("auth.json", "{}");
    options.http.tls = tls;
    options.http.stall_timeout = 10s;
    options.http.backoff_base = 5ms;
    options.http.max_attempts = 2;
    return open_registry_source(std::make_shared<RegistryClient>(posix_file_system(), options),
                                "docker://" + host + "/team/app:1");
  }
  static TlsFiles trust(const std::string& ca) {
    return load_tls_files(posix_file_system(), certificates->file(ca + ".crt"));
  }

  TempDirectory temp_;
  FakeRegistry registry_;
  oci::Descriptor image_ = registry_.add_image("layer", "1");
  std::unique_ptr<ChildProcess> front_;
};

std::unique_ptr<Certificates> RegistryTlsTest::certificates;

TEST_F(RegistryTlsTest, PrivateAuthority) {
  const std::string host = start("server");
  EXPECT_EQ(open(host, trust("ca"))->root().descriptor.digest, image_.digest);
  const std::size_t before = registry_.server().requests().size();
  for (const TlsFiles& tls : {TlsFiles{}, trust("other")}) {
    const Error error = expect_error(ErrorCode::tls_failed, [&] { open(host, tls); });
    EXPECT_NE(error.message().find(host), std::string::npos);
    EXPECT_NE(error.hint().find("CA"), std::string::npos);
  }
  EXPECT_EQ(registry_.server().requests().size(), before);
}

TEST_F(RegistryTlsTest, CertificateForAnotherName) {
  const std::string host = start("wrongname");
  expect_error(ErrorCode::tls_failed, [&] { open(host, trust("ca")); });
  EXPECT_TRUE(registry_.server().requests().empty());
}

TEST_F(RegistryTlsTest, ClientCertificate) {
  const std::string host = start("server", "ca");
  TlsFiles tls = trust("ca");
  EXPECT_TRUE(testing::error_of([&] { open(host, tls); }));
  for (const char* name : {"client.cert", "client.key"}) {
    std::filesystem::copy(certificates->file(name), temp_.path() / name);
  }
  tls.client_cert_pem = load_tls_files(posix_file_system(), temp_.path()).client_cert_pem;
  tls.client_key_pem = load_tls_files(posix_file_system(), temp_.path()).client_key_pem;
  EXPECT_EQ(open(host, tls)->root().descriptor.digest, image_.digest);
}

TEST_F(RegistryTlsTest, NoWayDownToPlainHttp) {
  const std::string host = start("server");
  const std::string plain = registry_.server().url("/v2/team/app/manifests/2");
  registry_.bend = [&](const ReceivedRequest& request, ScriptedReply& reply) {
    if (!request.path().ends_with("/1")) return;
    reply.status = 307;
    reply.headers = {"Location: " + plain};
  };
  expect_error(ErrorCode::tls_failed, [&] { open(host, trust("ca")); });
  EXPECT_EQ(registry_.server().requests().size(), 1U);
}

TEST_F(RegistryTlsTest, NoPasswordOverPlainHttp) {
  const std::string host = start("server");
  registry_.authorization = "Bearer t";
  registry_.challenge = {"WWW-Authenticate: Bearer realm=\"" + registry_.server().url("/token") +
                         "\",service=\"s\""};
  const Error error = expect_error(ErrorCode::auth_failed, [&] { open(host, trust("ca")); });
  EXPECT_NE(error.message().find("without encryption"), std::string::npos);
  EXPECT_EQ(registry_.server().requests().size(), 1U);
}

}  // namespace
}  // namespace bundle::transfer
