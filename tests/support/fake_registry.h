// A small OCI registry on a ScriptedServer, which a test can make misbehave.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "crypto/digest.h"
#include "oci/descriptor.h"
#include "support/scripted_server.h"

namespace bundle::testing {

class FakeRegistry {
 public:
  // Changes an answer; the request tells which.
  using Bend = std::function<void(const ReceivedRequest&, ScriptedReply&)>;

  FakeRegistry() : server_([this](const ReceivedRequest& request) { return answer(request); }) {}

  struct Stored {
    std::string bytes;
    std::string media_type;
  };

  Digest add_blob(const std::string& bytes) {
    const Digest digest = sha256(as_bytes(bytes));
    blobs["/blobs/" + digest.text()] = {bytes, "application/octet-stream"};
    return digest;
  }
  // Reachable by digest and, when given, by tag.
  oci::Descriptor add_manifest(const std::string& bytes, std::string_view media_type,
                               const std::string& tag = {}) {
    oci::Descriptor descriptor;
    descriptor.media_type = media_type;
    descriptor.digest = sha256(as_bytes(bytes));
    descriptor.size = bytes.size();
    const Stored stored{bytes, std::string(media_type)};
    blobs["/manifests/" + descriptor.digest.text()] = stored;
    if (!tag.empty()) blobs["/manifests/" + tag] = stored;
    return descriptor;
  }
  // An image of one layer.
  oci::Descriptor add_image(const std::string& layer, const std::string& tag = {}) {
    const std::string config =
        R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}})";
    const auto descriptor = [](std::string_view type, const std::string& bytes) {
      return R"({"mediaType":")" + std::string(type) + R"(","digest":")" +
             sha256(as_bytes(bytes)).text() + R"(","size":)" + std::to_string(bytes.size()) + "}";
    };
    add_blob(config);
    add_blob(layer);
    return add_manifest(R"({"schemaVersion":2,"mediaType":")" +
                            std::string(oci::media_type::kManifest) + R"(","config":)" +
                            descriptor(oci::media_type::kConfig, config) + R"(,"layers":[)" +
                            descriptor(oci::media_type::kLayerTarGzip, layer) + "]}",
                        oci::media_type::kManifest, tag);
  }

  // The base address of the repository: everything is in "team/app".
  std::string reference(const std::string& name) const {
    return "docker://" + server_.host() + "/team/app" + name;
  }
  ScriptedServer& server() { return server_; }

  // All set before the first request.
  std::map<std::string, Stored> blobs;  // by path below the repository
  Bend bend = [](const ReceivedRequest&, ScriptedReply&) {};
  std::string authorization;           // what requests must carry; empty: nothing
  std::vector<std::string> challenge;  // header lines of a 401

 private:
  ScriptedReply answer(const ReceivedRequest& request) {
    ScriptedReply reply;
    const std::string root = "/v2/team/app";
    const bool inside = request.path().starts_with(root);
    if (inside && !authorization.empty() && request.header("authorization") != authorization) {
      reply.status = 401;
      reply.headers = challenge;
      reply.body = R"({"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]})";
    } else if (const auto found =
                   inside ? blobs.find(request.path().substr(root.size())) : blobs.end();
               found != blobs.end()) {
      reply.body = found->second.bytes;
      reply.headers = {"Content-Type: " + found->second.media_type,
                       "Docker-Content-Digest: " + sha256(as_bytes(reply.body)).text()};
      take_range(request, reply);
    } else {
      reply.status = 404;
      reply.body = R"({"errors":[{"code":"NAME_UNKNOWN","message":"nothing here"}]})";
    }
    bend(request, reply);
    return reply;
  }

  static void take_range(const ReceivedRequest& request, ScriptedReply& reply) {
    const std::string range = request.header("range");
    if (!range.starts_with("bytes=")) return;
    const std::size_t first = std::stoul(range.substr(6));
    const std::string total = std::to_string(reply.body.size());
    reply.status = 206;
    reply.headers.push_back("Content-Range: bytes " + std::to_string(first) + "-" +
                            std::to_string(reply.body.size() - 1) + "/" + total);
    reply.body.erase(0, first);
  }

  ScriptedServer server_;
};

}  // namespace bundle::testing
