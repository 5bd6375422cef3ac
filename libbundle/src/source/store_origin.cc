#include "source/store_origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "format/limits.h"
#include "format/volume.h"
#include "io/safe_path.h"
#include "source/site_release.h"
#include "trust/news.h"
#include "trust/origin_index.h"

namespace bundle::source {
namespace {

using store::SiteStore;
using transfer::Origin;
using transfer::OriginDocument;
using transfer::OriginQuery;
using transfer::RemoteFile;

constexpr std::string_view kChannelFolder = "channels/";
constexpr std::string_view kNewsSuffix = ".news";

// "7.stable.channel.json" -> "stable".
std::optional<std::string> channel_of(std::string_view name) {
  const auto numbered = trust::parse_numbered(name);
  if (!numbered || !numbered->stem.ends_with(trust::kChannelSuffix)) return std::nullopt;
  return numbered->stem.substr(0, numbered->stem.size() - trust::kChannelSuffix.size());
}

class StoreOrigin final : public Origin {
 public:
  explicit StoreOrigin(std::shared_ptr<SiteStore> store) : store_(std::move(store)) {}

  std::optional<OriginDocument> read(const std::string& name,
                                     const OriginQuery& query) const override {
    std::optional<std::string> content;
    if (name == trust::kOriginIndexName) {
      content = listing();
    } else if (name.starts_with(kChannelFolder) && name.ends_with(kNewsSuffix)) {
      content = news(name.substr(kChannelFolder.size(),
                                 name.size() - kChannelFolder.size() - kNewsSuffix.size()));
    } else if (const Path path = place(name); fs().status(path)) {
      content = read_text_file(fs(), path, query.max_bytes);
    }
    if (!content) return std::nullopt;
    OriginDocument document;
    document.validator.etag = sha256(as_bytes(*content)).hex();
    document.unchanged = document.validator == query.known;
    if (!document.unchanged) document.content = std::move(*content);
    return document;
  }

  std::unique_ptr<ReadableFile> open(const std::string& name, std::uint64_t size) const override {
    auto file = fs().open(place(name));
    if (file->size() == size) return file;
    throw Error(ErrorCode::volume_truncated,
                fmt::format("{} has {} bytes, and {} by the release", file->path().string(),
                            file->size(), size),
                "The store is damaged: 'bundle-import verify' there tells what it lacks.");
  }

  std::string text() const override { return store_->root().string(); }
  bool is_remote() const override { return false; }

 private:
  FileSystem& fs() const { return store_->fs(); }
  Path place(const std::string& name) const {
    return join_safely(store_->root(), name, "a name in a release");
  }

  // Products that the store has releases or channels of; more than one would mix their channels.
  std::string product() const {
    std::set<std::string> products;
    for (const store::ReleaseInfo& release : store_->releases()) products.insert(release.product);
    if (products.empty()) {
      throw Error(ErrorCode::not_found, fmt::format("{} holds no release", text()),
                  "Import or sync a release there first.");
    }
    if (products.size() > 1) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("{} holds releases of several products", text()),
                  "Export what is wanted as a bundle: bundle-make export.");
    }
    return *products.begin();
  }

  std::string listing() const {
    trust::OriginIndex index;
    index.product = product();
    std::set<std::string> channels;
    for (const trust::SignatureFile& file : site_trust_files(*store_, index.product)) {
      if (const auto channel = channel_of(file.name)) channels.insert(*channel);
    }
    index.channels.assign(channels.begin(), channels.end());
    for (const store::ReleaseInfo& info : store_->releases()) {
      const Path folder = store_->release_dir(info.version);
      trust::OriginRelease release;
      release.version = info.version;
      release.number = info.release_number;
      release.statement =
          sha256(read_file(fs(), folder / "statement.json", format::kMaxDocumentBytes));
      for (const std::string& name : fs().list(folder)) {
        if (trust::is_release_document(name)) release.documents.push_back(name);
      }
      std::ranges::sort(release.documents);
      index.releases.push_back(std::move(release));
    }
    return trust::encode_origin_index(index);
  }

  // Roots, revocations and the pointer of this channel, as `publish` puts them into one file.
  std::optional<std::string> news(const std::string& channel) const {
    const auto all = site_trust_files(*store_, product());
    std::vector<std::string> others;
    bool found = false;
    for (const trust::SignatureFile& file : all) {
      const auto of = channel_of(file.name);
      if (of && *of != channel) others.push_back(file.name);
      found = found || of == channel;
    }
    if (!found) return std::nullopt;
    format::FileList files;
    for (const trust::SignatureFile& file : all) {
      const bool foreign = std::ranges::any_of(others, [&](const std::string& other) {
        return file.name == other || trust::is_signature_of(file.name, other);
      });
      if (!foreign) files.push_back({file.name, file.content});
    }
    return std::string(as_text(format::encode_tail(std::move(files))));
  }

  std::shared_ptr<SiteStore> store_;
};

// From an offset on, of a file that it owns.
class FileRest final : public Source {
 public:
  FileRest(std::unique_ptr<ReadableFile> file, std::uint64_t offset)
      : file_(std::move(file)), offset_(offset) {}
  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = file_->read_at(offset_, buffer);
    offset_ += count;
    return count;
  }

 private:
  std::unique_ptr<ReadableFile> file_;
  std::uint64_t offset_;
};

// A web server's file by one request for all the rest, which survives cuts.
class RemoteRest final : public Source {
 public:
  RemoteRest(std::unique_ptr<ReadableFile> file, const RemoteFile& remote, std::uint64_t offset)
      : file_(std::move(file)), stream_(remote.stream(offset, remote.size() - offset)) {}
  std::size_t read(std::span<std::uint8_t> buffer) override { return stream_->read(buffer); }

 private:
  std::unique_ptr<ReadableFile> file_;
  std::unique_ptr<Source> stream_;
};

class OriginBlobs final : public unpack::BlobSource {
 public:
  explicit OriginBlobs(std::shared_ptr<const Origin> origin) : origin_(std::move(origin)) {}

  std::unique_ptr<Source> open(const format::BlobEntry& blob, std::uint64_t offset) const override {
    auto file = origin_->open(name(blob), blob.size);
    if (const auto* remote = dynamic_cast<const RemoteFile*>(file.get());
        remote != nullptr && offset < blob.size) {
      return std::make_unique<RemoteRest>(std::move(file), *remote, offset);
    }
    return std::make_unique<FileRest>(std::move(file), offset);
  }

  std::string where(const format::BlobEntry& blob) const override {
    return fmt::format("{}/{}", origin_->text(), name(blob));
  }

 private:
  static std::string name(const format::BlobEntry& blob) {
    return "blobs/sha256/" + blob.digest.hex();
  }
  std::shared_ptr<const Origin> origin_;
};

}  // namespace

bool is_store(FileSystem& fs, const Path& place) {
  return fs.status(place / "oci-layout") && fs.status(place / "releases");
}

std::shared_ptr<Origin> open_store_origin(FileSystem& fs, const Path& place) {
  return std::make_shared<StoreOrigin>(SiteStore::open(fs, place));
}

void write_store_listing(FileSystem& fs, const Path& store) {
  const StoreOrigin origin(SiteStore::open(fs, store));
  const OriginQuery query{trust::kMaxOriginBytes, {}, false};
  const auto write = [&](const std::string& name, const std::string& content) {
    const Path path = store / name;
    if (fs.status(path) && read_text_file(fs, path, query.max_bytes) == content) return;
    write_file_atomically(fs, path, as_bytes(content));
  };
  const std::string name(trust::kOriginIndexName);
  const std::string listing = origin.read(name, query)->content;
  write(name, listing);
  const auto index = trust::parse_origin_index(listing, name);
  if (!index.channels.empty()) fs.create_directories(store / "channels");
  for (const std::string& channel : index.channels) {
    const std::string path = trust::origin_channel_path(channel);
    if (const auto news = origin.read(path, query)) write(path, news->content);
  }
}

std::shared_ptr<const unpack::BlobSource> origin_blobs(std::shared_ptr<const Origin> origin) {
  return std::make_shared<OriginBlobs>(std::move(origin));
}

}  // namespace bundle::source
