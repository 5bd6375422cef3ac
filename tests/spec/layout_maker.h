// Writes a real OCI image layout for a test.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"
#include "oci/descriptor.h"
#include "release/release_samples.h"

namespace bundle::spec {

class LayoutMaker {
 public:
  // `folder` is below the scratch folder: "images".
  LayoutMaker(const release::ScratchFolder& scratch, std::string folder)
      : scratch_(scratch), folder_(std::move(folder)) {
    scratch_.write(folder_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write_index();
  }

  struct Entry {
    std::string media_type;
    Digest digest;
    std::size_t size = 0;
    std::string platform;  // JSON, empty for none

    std::string json(std::string_view more = {}) const {
      return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}{}{}}})", media_type,
                         digest.text(), size, platform.empty() ? "" : ",\"platform\":" + platform,
                         more);
    }
  };

  Entry blob(std::string_view media_type, std::string_view content) {
    const Digest digest = sha256(as_bytes(content));
    scratch_.write(fmt::format("{}/blobs/sha256/{}", folder_, digest.hex()), std::string(content));
    return {std::string(media_type), digest, content.size(), {}};
  }

  // An image with one layer for each text.
  Entry image(std::string_view architecture, const std::vector<std::string>& layers) {
    const std::string platform =
        fmt::format(R"({{"architecture":"{}","os":"linux"}})", architecture);
    const Entry config = blob(oci::media_type::kConfig, platform);
    std::string list;
    for (const std::string& layer : layers) {
      if (!list.empty()) list += ",";
      list += blob(oci::media_type::kLayerTarGzip, layer).json();
    }
    Entry entry = manifest(config, list, "");
    entry.platform = platform;
    return entry;
  }

  Entry index(const std::vector<Entry>& children) {
    std::string list;
    for (const Entry& child : children) list += (list.empty() ? "" : ",") + child.json();
    return blob(oci::media_type::kIndex,
                fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})",
                            oci::media_type::kIndex, list));
  }

  // A cosign signature: found by its tag.
  Entry signature(const Entry& signed_entry, std::string_view text) {
    const Entry config = blob(oci::media_type::kConfig, R"({"architecture":"","os":""})");
    const Entry layer = blob("application/vnd.dev.cosign.simplesigning.v1+json", text);
    const Entry entry = manifest(config, layer.json(), "");
    tag(entry, "sha256-" + signed_entry.digest.hex() + ".sig");
    return entry;
  }

  void tag(const Entry& entry, std::string_view name) {
    entries_ += (entries_.empty() ? "" : ",") +
                entry.json(fmt::format(
                    R"(,"annotations":{{"org.opencontainers.image.ref.name":"{}"}})", name));
    write_index();
  }

 private:
  Entry manifest(const Entry& config, std::string_view layers, std::string_view more) {
    return blob(oci::media_type::kManifest,
                fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]{}}})",
                            oci::media_type::kManifest, config.json(), layers, more));
  }

  void write_index() {
    scratch_.write(folder_ + "/index.json",
                   fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", entries_));
  }

  const release::ScratchFolder& scratch_;
  std::string folder_;
  std::string entries_;
};

}  // namespace bundle::spec
