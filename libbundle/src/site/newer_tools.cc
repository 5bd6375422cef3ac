#include "site/newer_tools.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bundle/error.h"
#include "codec/json.h"
#include "release/manifest.h"
#include "store/site_store.h"
#include "unpack/group_reader.h"
#include "unpack/recipe_player.h"

namespace bundle::site {
namespace {

constexpr std::size_t kMaxTools = 16;
constexpr std::uint64_t kMaxToolBytes = 512ull * 1024 * 1024;

struct Tool {
  std::string name;
  format::BlobEntry blob;
};

bool is_tool_name(std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-~").find(c) != std::string_view::npos;
  });
  return plain && name.size() <= 128 && name.starts_with("bundle-tools") && name.ends_with(".deb");
}

std::vector<Tool> tools_of(const unpack::VerifiedHead& head) {
  const codec::Json manifest = codec::parse_json(
      head.manifest, "manifest.json", {release::kMaxManifestBytes, codec::JsonLimits{}.max_depth});
  std::vector<Tool> tools;
  const codec::Json* files = manifest.find("files");
  if (files == nullptr || !files->is_array()) return tools;
  for (const codec::Json& file : files->as_array()) {
    const std::string name = file.string_or("name", "");
    const std::string digest = "sha256:" + file.string_or("sha256", "");
    if (!is_tool_name(name) || !Digest::is_valid(digest)) continue;
    const format::BlobEntry* blob = unpack::find_blob(head.blobs, Digest::parse(digest));
    if (blob != nullptr && blob->size <= kMaxToolBytes && tools.size() < kMaxTools) {
      tools.push_back({name, *blob});
    }
  }
  return tools;
}

void read_tool(const unpack::VolumeSet& volumes, unpack::GroupReader& groups, const Tool& tool,
               Sink& out, const Cancel& cancel) {
  if (volumes.is_plain()) {
    const auto source = volumes.blobs->open(tool.blob, 0);
    out.write(read_all(*source, tool.blob.size, tool.name));
    return;
  }
  const auto& blobs = groups.index().blobs;
  const auto indexed = std::ranges::find(blobs, tool.blob.digest, &format::IndexedBlob::digest);
  if (indexed == blobs.end()) {
    throw Error(ErrorCode::not_found, fmt::format("{} is not in this bundle", tool.name));
  }
  unpack::play_recipe(groups, unpack::read_recipe(groups, *indexed), tool.blob, out, cancel);
}

// Hashes on the way to the disk; the file has no name before its digest is right.
void write_tool(FileSystem& fs, const unpack::VolumeSet& volumes, unpack::GroupReader& groups,
                const Tool& tool, const Path& folder, const Cancel& cancel) {
  struct HashingSink final : Sink {
    explicit HashingSink(Sink& next) : out(next) {}
    void write(ByteView bytes) override {
      hash.write(bytes);
      out.write(bytes);
    }
    Sink& out;
    Sha256 hash;
  };
  const auto file = fs.create_anonymous(folder);
  HashingSink sink(*file);
  read_tool(volumes, groups, tool, sink, cancel);
  if (sink.hash.finish() != tool.blob.digest) {
    throw Error(ErrorCode::blob_mismatch,
                fmt::format("{} does not match its signed digest", tool.name),
                "Copy the volumes again from the original.");
  }
  file->sync();
  fs.remove(folder / tool.name);
  file->publish(folder / tool.name);
}

}  // namespace

std::string stage_newer_tools(FileSystem& fs, const unpack::VolumeSet& volumes,
                              const unpack::VerifiedHead& head, const trust::TrustState* state,
                              const Path& store, const Cancel& cancel) {
  if (state != nullptr) state->check_revoked(head.release);
  const std::vector<Tool> tools = tools_of(head);
  if (tools.empty()) {
    return "The release is good, but brings no newer tools (bundle-tools*.deb): get them from the "
           "vendor, install them, and run the same command again.";
  }
  store::SiteStore::create(fs, store);
  const Path folder = store / "tools" / head.release->version;
  fs.create_directories(folder);
  const unpack::VolumeLeaves leaves(volumes, head.index);
  unpack::GroupReader groups(head.index, leaves);
  std::vector<std::string> paths;
  for (const Tool& tool : tools) {
    write_tool(fs, volumes, groups, tool, folder, cancel);
    paths.push_back((folder / tool.name).string());
  }
  fs.sync_directory(folder);
  return fmt::format(
      "The release is signed by the vendor and brings the newer tools; they were verified and put "
      "into {0}. Install them (dpkg -i {1}) and run the same import again.",
      folder.string(), fmt::join(paths, " "));
}

}  // namespace bundle::site
