#include <gtest/gtest.h>
#include <sys/socket.h>

#include <ctime>
#include <thread>

#include "bundle/error.h"
#include "registry/served_store.h"
#include "support/child_process.h"
#include "support/expect_error.h"

namespace bundle::testing {
namespace {

class TlsTest : public RegistryTest {
 protected:
  // Makes a self-signed certificate for 127.0.0.1 under the given subject.
  void make_certificate(const std::string& subject, const std::string& file = "site") {
    const auto made = run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                                   "/CN=" + subject, "-addext", "subjectAltName=IP:127.0.0.1",
                                   "-keyout", path(file + ".key"), "-out", path(file + ".pem")});
    ASSERT_EQ(made.status, 0) << made.output;
  }
  std::string path(const std::string& name) const { return (files / name).string(); }
  registry::ServerOptions options() const {
    auto options = quick_options();
    options.tls = registry::TlsFiles{path("site.pem"), path("site.key"), {}};
    return options;
  }
  ProgramResult curl(const std::string& target, std::vector<std::string> more = {}) {
    std::vector<std::string> command{"curl", "-sS", "--cacert", path("site.pem")};
    command.insert(command.end(), more.begin(), more.end());
    command.push_back("https://127.0.0.1:" + std::to_string(port()) + target);
    return run_program(command);
  }
  std::string peer_subject() {
    return run_program({"sh", "-c",
                        "openssl s_client -connect 127.0.0.1:" + std::to_string(port()) +
                            " </dev/null 2>/dev/null | grep '^subject'"})
        .output;
  }

  TempDirectory files;
};

TEST_F(TlsTest, ServesManifestsBlobsAndRanges) {
  make_certificate("first");
  start(options());
  const std::string blob = "/v2/app/server/blobs/" + has.large.digest.text();
  EXPECT_EQ(curl("/v2/app/server/manifests/1.0.0", {"-o", path("m")}).status, 0);
  EXPECT_EQ(sha256(read_file(posix_file_system(), files / "m", 1 << 20)), has.server_index.digest);
  EXPECT_EQ(curl(blob).output, has.large_layer);
  EXPECT_EQ(curl(blob, {"-r", "1000-200999"}).output, has.large_layer.substr(1000, 200'000));
  EXPECT_EQ(curl(blob, {"-I", "-w", "%{http_code}", "-o", path("h")}).output, "200");
}

TEST_F(TlsTest, SpeaksNothingOlderThanTls12) {
  make_certificate("first");
  start(options());
  EXPECT_EQ(curl("/healthz", {"--tlsv1.2", "--tls-max", "1.2"}).status, 0);
  EXPECT_EQ(curl("/healthz", {"--tlsv1.3"}).status, 0);
  EXPECT_NE(
      curl("/healthz", {"--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"}).status,
      0);
  // Plain HTTP on the TLS port gets no answer.
  EXPECT_EQ(get(port(), "/healthz").status, 0);
}

TEST_F(TlsTest, ANewCertificateIsTakenWithoutARestart) {
  make_certificate("first");
  start(options());
  EXPECT_NE(peer_subject().find("first"), std::string::npos);
  make_certificate("second");
  EXPECT_NE(peer_subject().find("first"), std::string::npos);
  server->reload();
  EXPECT_NE(peer_subject().find("second"), std::string::npos);
}

TEST_F(TlsTest, ClientsThatDoNotFinishTheirHandshakeCostNothing) {
  make_certificate("first");
  start(options());
  // Silent; in the middle of a record; at its end, after which the server waits for the rest.
  RawConnection silent(port());
  RawConnection cut(port());
  cut.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  RawConnection leaving(port());
  leaving.send(std::string("\x16\x03\x01\x00\x04", 5));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.15);
  ::shutdown(leaving.socket(), SHUT_WR);
  EXPECT_TRUE(leaving.closed_within(std::chrono::milliseconds(5000)));
  for (const std::string newest : {"1.2", "1.3"}) {
    EXPECT_EQ(curl("/healthz", {"--tls-max", newest}).status, 0) << newest;
  }
  server.reset();  // with two handshakes under way
}

TEST_F(TlsTest, OnlyClientsWithACertificateOfTheAuthorityAreServed) {
  make_certificate("first");
  make_certificate("other", "other");
  // An authority, a client of it, and a server certificate of it, which is no client's.
  const std::string script =
      "set -e; cd " + files.path().string() +
      "\nnew='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'\n"
      "$new -x509 -subj /CN=authority -keyout ca.key -out ca.pem\n"
      "for kind in client server; do\n"
      "$new -subj /CN=node-1 -keyout $kind.key -out $kind.csr\n"
      "echo extendedKeyUsage=${kind}Auth > ext\n"
      "openssl x509 -req -in $kind.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
      "-extfile ext -out $kind.pem\ndone\n";
  const auto made = run_program({"bash", "-c", script});
  ASSERT_EQ(made.status, 0) << made.output;
  files.write("access.yaml",
              "apiVersion: bundle/v1\nkind: RegistryAccess\nrules:\n"
              "- {prefix: \"\", pull: [node-1]}\n");
  auto mutual = options();
  mutual.tls->client_authorities = path("ca.pem");
  mutual.access_file = path("access.yaml");
  start(mutual);
  const auto as = [&](const std::string& who, const std::string& newest) {
    return curl("/v2/app/server/manifests/1.0.0",
                {"--cert", path(who + ".pem"), "--key", path(who + ".key"), "-o", path("m"), "-w",
                 "%{http_code}", "--tls-max", newest});
  };
  for (const std::string newest : {"1.2", "1.3"}) {
    EXPECT_EQ(as("client", newest).output, "200") << newest;
    EXPECT_NE(as("server", newest).status, 0) << newest;
    EXPECT_NE(as("other", newest).status, 0) << newest;
    EXPECT_NE(curl("/healthz", {"--tls-max", newest}).status, 0) << newest;
  }
  // Another authority after a reload.
  std::filesystem::copy_file(path("other.pem"), path("ca.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  server->reload();
  EXPECT_NE(as("client", "1.3").status, 0);
  files.write("ca.pem", "none");
  expect_error(ErrorCode::key_invalid, [&] { server->reload(); });
}

TEST_F(TlsTest, ABadCertificateIsRefusedAndTheOldOneStays) {
  make_certificate("first");
  make_certificate("other", "other");
  start(options());
  files.write("site.pem", "no certificate");
  expect_error(ErrorCode::key_invalid, [&] { server->reload(); });
  std::filesystem::copy_file(path("other.pem"), path("site.pem"),
                             std::filesystem::copy_options::overwrite_existing);
  expect_error(ErrorCode::key_invalid, [&] { server->reload(); });  // another key's
  EXPECT_NE(peer_subject().find("first"), std::string::npos);
  auto bad = options();
  expect_error(ErrorCode::key_invalid, [&] { start(bad); });
  bad.tls->key = path("absent.key");
  expect_error(ErrorCode::not_found, [&] { start(bad); });
}

}  // namespace
}  // namespace bundle::testing
