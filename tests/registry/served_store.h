// Two releases in a store, and a server over it in this process.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "registry/http_server.h"
#include "registry/raw_http.h"
#include "registry/test_store.h"

namespace bundle::testing {

// What the releases hold, for expectations.
struct SampleContent {
  std::string small_layer = "a small layer";
  std::string large_layer;  // 300,007 bytes
  oci::Descriptor small, large;
  oci::Descriptor redis_old, redis_new;        // docker.io/library/redis:7.2 of 1.0.0 and 1.1.0
  oci::Descriptor server_index;                // registry.example.com/app/server:1.0.0, :latest
  oci::Descriptor server_amd64, server_arm64;  // arm64 is not carried
  oci::Descriptor server_new;                  // :1.1.0, :latest of 1.1.0
  oci::Descriptor signature;                   // cosign tag of server_index
  oci::Descriptor sbom, sbom_signature;        // subject: server_amd64; subject: sbom
};

inline SampleContent fill(const TestStore& store) {
  SampleContent has;
  for (int i = 0; has.large_layer.size() < 300'000; ++i) has.large_layer += std::to_string(i) + ",";
  has.large_layer.resize(300'007, 'x');

  ReleaseDraft first = store.draft();
  has.small = first.blob(has.small_layer, oci::media_type::kLayerTarGzip);
  has.large = first.blob(has.large_layer, oci::media_type::kLayerTarGzip);
  has.redis_old = first.image({has.small});
  first.name("docker.io", "library/redis", "7.2", has.redis_old);
  has.server_amd64 = first.image({has.small, has.large});
  has.server_amd64.platform = oci::Platform{"linux", "amd64", ""};
  has.server_arm64.media_type = oci::media_type::kManifest;
  has.server_arm64.digest = sha256(as_bytes("arm64"));
  has.server_arm64.size = 400;
  has.server_arm64.platform = oci::Platform{"linux", "arm64", ""};
  has.server_index = first.index({has.server_amd64, has.server_arm64});
  has.signature =
      first.image({first.blob("payload", "application/vnd.dev.cosign.simplesigning.v1+json")});
  has.sbom = first.image({first.blob("sbom", "application/spdx+json")}, has.server_amd64,
                         "application/vnd.example.sbom", {{"org.example.kind", "sbom \"x\""}});
  has.sbom_signature = first.image({first.blob("sbom signature", "application/octet-stream")},
                                   has.sbom, "application/vnd.example.signature");
  auto& server = first.name("registry.example.com", "app/server", "1.0.0", has.server_index);
  server.referrers.push_back(
      {has.signature, has.server_index.digest, "sha256-" + has.server_index.digest.hex() + ".sig"});
  first.name("registry.example.com", "app/server", "latest", has.server_index);
  store.publish(std::move(first), "1.0.0", 1);

  ReleaseDraft second = store.draft();
  const auto layer = second.blob("redis of 1.1.0", oci::media_type::kLayerTarGzip);
  second.blob(has.small_layer, oci::media_type::kLayerTarGzip);
  has.redis_new = second.image({layer, has.small});
  second.name("docker.io", "library/redis", "7.2", has.redis_new);
  has.server_new = second.image({layer});
  second.name("registry.example.com", "app/server", "1.1.0", has.server_new);
  second.name("registry.example.com", "app/server", "latest", has.server_new);
  store.publish(std::move(second), "1.1.0", 2);
  store.activate("1.0.0");
  return has;
}

// Collects what the server logs.
class LogLines {
 public:
  registry::ServerLog log(registry::LogForm form, bool requests) {
    return registry::ServerLog(form, requests, [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    });
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

inline registry::ServerOptions quick_options() {
  registry::ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.workers = 2;
  options.store_interval = std::chrono::milliseconds(20);
  return options;
}

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : has(fill(store)) {}

  void start(const registry::ServerOptions& options = quick_options()) {
    server.reset();
    server = std::make_unique<registry::HttpServer>(options, store.open(), log);
  }
  std::uint16_t port() {
    if (!server) start();
    return server->port();
  }
  // The digest that a tag names now; empty when it names none.
  std::string tag_digest(const std::string& repository, const std::string& tag) {
    return request(port(), "HEAD", "/v2/" + repository + "/manifests/" + tag)
        .header("docker-content-digest");
  }
  // Waits until a condition holds, for changes that the server follows.
  template <typename Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 500; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  TestStore store;
  SampleContent has;
  LogLines lines;
  registry::ServerLog log = lines.log(registry::LogForm::json, true);
  std::unique_ptr<registry::HttpServer> server;
};

}  // namespace bundle::testing
