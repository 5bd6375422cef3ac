// Against the registry server of the distribution project (Debian: docker-registry), filled by our
// own client and by skopeo. Skipped where they are not installed.
#include <gtest/gtest.h>

#include <thread>

#include "oci/document.h"
#include "support/certificates.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/fake_registry.h"
#include "support/temp_directory.h"
#include "transfer/registry_source.h"

namespace bundle::transfer {
namespace {

using namespace std::chrono_literals;
using testing::ChildProcess;
using testing::run_program;
using testing::TempDirectory;

std::string layer_bytes() {
  std::string layer(2'000'000, '\0');
  std::uint32_t state = 1;
  for (char& c : layer) {
    state = state * 1'664'525 + 1'013'904'223;
    c = static_cast<char>(state >> 24);
  }
  return layer;
}

// "ann" with the password "pa:ss word".
constexpr const char* kHtpasswd =
    "ann:$2a$05$abcdefghijklmnopqrstuuDvFYunEEkRAUw6hKd4mLN/wdxTQz.ki\n";

class RealRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::have_program("docker-registry")) GTEST_SKIP() << "docker-registry not installed";
    start("", {});
  }

  // `more` is further configuration: members of http, then other sections.
  void start(const std::string& more, const TlsFiles& tls) {
    const int port = testing::free_port();
    host_ = "127.0.0.1:" + std::to_string(port);
    const auto config =
        temp_.write("config.yml",
                    "version: 0.1\nlog: {level: error}\nstorage:\n"
                    "  filesystem: {rootdirectory: " +
                        (temp_ / "data").string() + "}\nhttp:\n  addr: \"" + host_ + "\"\n" + more);
    server_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{"docker-registry", "serve", config.string()},
        (temp_ / "log").string());
    ASSERT_TRUE(testing::wait_for_port(port, 30s));
    RegistryOptions options;
    options.auth_file =
        temp_.write("auth.json",
                    R"({"auths":{")" + host_ + R"(":{"username":"ann","password":"pa:ss word"}}})");
    options.http.tls = tls;
    if (tls.ca_pem.empty()) options.insecure_registries = {host_};
    client_ = std::make_shared<RegistryClient>(posix_file_system(), options);
  }

  void push_blob(const oci::ImageName& name, const std::string& bytes) {
    HttpRequest start;
    start.method = "POST";
    start.url = client_->url(name, "blobs/uploads/");
    const auto session = client_->send(name, start, "pull,push");
    ASSERT_EQ(session->status(), 202);
    HttpRequest put;
    put.method = "PUT";
    put.url = session->url().resolve(*session->headers().find("Location"), "upload").text();
    put.url += (put.url.find('?') == std::string::npos ? "?digest=" : "&digest=") +
               percent_encode(sha256(as_bytes(bytes)).text());
    put.headers.add("Content-Type", "application/octet-stream");
    put.body = HttpBody::text(bytes);
    EXPECT_EQ(client_->send(name, put, "pull,push")->status(), 201);
  }

  TempDirectory temp_;
  std::string host_;
  std::unique_ptr<ChildProcess> server_;
  std::shared_ptr<RegistryClient> client_;
};

class SecureRegistryTest : public RealRegistryTest {
 protected:
  void SetUp() override {
    if (!testing::have_program("docker-registry")) GTEST_SKIP() << "docker-registry not installed";
    temp_.write("htpasswd", kHtpasswd);
    start("  tls: {certificate: " + certificates_.file("server.cert") +
              ", key: " + certificates_.file("server.key") +
              "}\nauth: {htpasswd: {realm: r, path: " + (temp_ / "htpasswd").string() + "}}\n",
          load_tls_files(posix_file_system(), certificates_.file("ca.crt")));
  }
  testing::Certificates certificates_;
};

// HTTP/2 (this server offers it over TLS), a login, and a reader slower than the server.
TEST_F(SecureRegistryTest, LargeBlobOverHttp2) {
  std::string layer = layer_bytes();
  for (int i = 0; i < 5; ++i) layer += layer;  // 64 MB
  const oci::ImageName name = oci::ImageName::parse(host_ + "/team/app:1.0");
  push_blob(name, layer);
  testing::FakeRegistry maker;
  const oci::Descriptor image = maker.add_image("small");
  for (const auto& [path, stored] : maker.blobs) {
    if (path.starts_with("/blobs/")) push_blob(name, stored.bytes);
  }
  HttpRequest put;
  put.method = "PUT";
  put.url = client_->url(name, "manifests/1.0");
  put.headers.add("Content-Type", image.media_type);
  put.body = HttpBody::text(maker.blobs["/manifests/" + image.digest.text()].bytes);
  ASSERT_EQ(client_->send(name, put, "pull,push")->status(), 201);

  const auto source = open_registry_source(client_, "docker://" + host_ + "/team/app:1.0");
  oci::Descriptor descriptor;
  descriptor.digest = sha256(as_bytes(layer));
  descriptor.size = layer.size();
  const auto blob = source->open_blob(descriptor);
  Bytes buffer(1'000'000);
  std::uint64_t total = 0;
  while (const std::size_t count = blob->read(buffer)) {
    total += count;
    if (total % 7 == 0) std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(total, layer.size());  // and the digest was right, or read() would have thrown
}

TEST_F(RealRegistryTest, PushedImageComesBackByteForByte) {
  // The fake one only makes the documents here.
  testing::FakeRegistry maker;
  const std::string layer = layer_bytes();
  const oci::Descriptor image = maker.add_image(layer);
  const oci::ImageName name = oci::ImageName::parse(host_ + "/team/app:1.0");
  const std::string manifest = maker.blobs["/manifests/" + image.digest.text()].bytes;
  for (const auto& [path, stored] : maker.blobs) {
    if (path.starts_with("/blobs/")) push_blob(name, stored.bytes);
  }
  HttpRequest put;
  put.method = "PUT";
  put.url = client_->url(name, "manifests/1.0");
  put.headers.add("Content-Type", image.media_type);
  put.body = HttpBody::text(manifest);
  ASSERT_EQ(client_->send(name, put, "pull,push")->status(), 201);

  const auto source = open_registry_source(client_, "docker://" + host_ + "/team/app:1.0");
  EXPECT_EQ(source->root().descriptor.digest, image.digest);
  EXPECT_EQ(as_text(source->root().bytes), manifest);
  const oci::Manifest parsed = oci::parse_manifest(source->root());
  const Bytes have = read_all(*source->open_blob(parsed.layers.at(0)), 1 << 24, "layer");
  EXPECT_TRUE(as_text(have) == layer);
  EXPECT_TRUE(source->referrers(image.digest).empty());
  EXPECT_EQ(resolve_registry_tag(*client_, source->name()), image.digest);
  testing::expect_error(ErrorCode::not_found, [&] {
    open_registry_source(client_, "docker://" + host_ + "/team/app:2.0");
  });
  testing::expect_error(ErrorCode::not_found, [&] {
    source->open_blob({.media_type = {},
                       .digest = Digest(),
                       .size = 1,
                       .artifact_type = {},
                       .platform = {},
                       .annotations = {}});
  });
  // The real server's Range answers, as a resume uses them.
  HttpRequest part;
  part.url = client_->url(name, "blobs/" + parsed.layers.at(0).digest.text());
  part.range = ByteRange{1'999'990, std::nullopt};
  const auto response = client_->send(name, part);
  EXPECT_EQ(response->status(), 206);
  EXPECT_EQ(response->headers().find("Content-Range"), "bytes 1999990-1999999/2000000");
}

TEST_F(RealRegistryTest, ImagePushedBySkopeo) {
  if (!testing::have_program("skopeo")) GTEST_SKIP() << "skopeo not installed";
  testing::FakeRegistry maker;
  const oci::Descriptor image = maker.add_image(layer_bytes());
  temp_.write("layout/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  temp_.write("layout/index.json",
              R"({"schemaVersion":2,"manifests":[{"mediaType":")" + image.media_type +
                  R"(","digest":")" + image.digest.text() + R"(","size":)" +
                  std::to_string(image.size) +
                  R"(,"annotations":{"org.opencontainers.image.ref.name":"1"}}]})");
  for (const auto& [path, stored] : maker.blobs) {
    temp_.write("layout/blobs/sha256/" + sha256(as_bytes(stored.bytes)).hex(), stored.bytes);
  }
  const auto pushed = run_program(
      {"skopeo", "copy", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false",
       "oci:" + (temp_ / "layout").string() + ":1", "docker://" + host_ + "/from/skopeo:1"});
  ASSERT_EQ(pushed.status, 0) << pushed.output;
  const auto source = open_registry_source(client_, "docker://" + host_ + "/from/skopeo:1");
  EXPECT_EQ(source->root().descriptor.digest, image.digest);
  const oci::Manifest manifest = oci::parse_manifest(source->root());
  for (const oci::Descriptor& blob : manifest.layers) {
    EXPECT_EQ(read_all(*source->open_blob(blob), 1 << 24, "blob").size(), blob.size);
  }
  EXPECT_EQ(read_all(*source->open_blob(manifest.config), 1 << 24, "config").size(),
            manifest.config.size);
}

}  // namespace
}  // namespace bundle::transfer
