#include "oci/helm_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bundle/error.h"
#include "codec/gzip_reader.h"
#include "codec/gzip_writer.h"
#include "codec/json.h"
#include "codec/tar.h"
#include "io/safe_path.h"
#include "oci/chart_metadata.h"
#include "oci/document.h"

namespace bundle::oci {
namespace {

constexpr std::string_view kMetadataFile = "Chart.yaml";
constexpr std::string_view kIgnoreFile = ".helmignore";
constexpr std::uint32_t kChartFileMode = 0644;

[[noreturn]] void fail(std::string_view where, std::string_view reason) {
  throw Error(ErrorCode::spec_invalid, fmt::format("{}: {}", where, reason),
              "Give a Helm chart: a directory with a Chart.yaml, or a .tgz of `helm package`.");
}

// --- A packed chart -----------------------------------------------------------------------------

// Finds "<directory>/Chart.yaml" while an archive streams by.
class MetadataFinder final : public codec::TarVisitor {
 public:
  explicit MetadataFinder(std::string where) : where_(std::move(where)) {}

  void on_member(const codec::TarMember& member, ByteView) override {
    taking_ = false;
    std::string_view path = member.path;
    while (path.ends_with('/')) path.remove_suffix(1);
    if (!is_safe_relative_path(path)) {
      throw Error(ErrorCode::unsafe_path,
                  fmt::format("{}: the member '{}' would leave its directory", where_,
                              member.path.substr(0, 300)),
                  "Pack the chart again with `helm package`.");
    }
    if (++members_ > kMaxChartFiles) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} holds more than {} files", where_, kMaxChartFiles),
                  "A chart holds templates and values only: take the rest out of it, or name it in "
                  ".helmignore.");
    }
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos || path.substr(slash + 1) != kMetadataFile) return;
    if (found_ || !member.is_file() || member.body_size > kMaxChartMetadata) {
      fail(where_, "it must hold exactly one Chart.yaml, a plain file of at most 1 MiB");
    }
    found_ = true;
    taking_ = true;
  }
  void on_body(ByteView bytes) override {
    if (taking_) text_ += as_text(bytes);
  }
  void on_padding(ByteView) override {}
  void on_tail(ByteView) override {}

  const std::string& text() const {
    if (!found_) fail(where_, "it holds no <chart>/Chart.yaml");
    return text_;
  }

 private:
  std::string where_;
  std::size_t members_ = 0;
  bool found_ = false;
  bool taking_ = false;
  std::string text_;
};

// Passes a source on and hashes what passes.
class HashingSource final : public Source {
 public:
  explicit HashingSource(Source& source) : source_(source) {}
  std::size_t read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = source_.read(buffer);
    hash_.write(buffer.first(count));
    size_ += count;
    return count;
  }
  std::uint64_t size() const { return size_; }
  Digest finish() { return hash_.finish(); }

 private:
  Source& source_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
};

struct PackedChart {
  ArtifactBlob blob;
  ChartMetadata metadata;
};

PackedChart read_packed(FileSystem& fs, const Path& path) {
  const auto file = fs.open(path);
  if (file->size() > kMaxChartPacked) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {} for a chart", path.string(),
                            file->size(), kMaxChartPacked),
                "A chart holds templates and values only: take the rest out of it, or name it in "
                ".helmignore.");
  }
  FileSource source(*file);
  HashingSource hashing(source);
  codec::GzipReader plain(hashing, kMaxChartUnpacked, path.string());
  MetadataFinder finder(path.string());
  codec::TarScanner scanner(finder, codec::TarRules::strict);
  copy_all(plain, scanner);
  scanner.finish();
  if (const auto& fault = scanner.fault()) {
    throw Error(ErrorCode::archive_invalid,
                fmt::format("{}: not a sound tar archive at inflated byte {}: {}", path.string(),
                            fault->offset, fault->reason),
                "Pack the chart again with `helm package`.");
  }
  PackedChart chart;
  chart.metadata =
      parse_chart_metadata(finder.text(), path.string() + ":" + std::string(kMetadataFile));
  chart.blob.file = path;
  chart.blob.descriptor.digest = hashing.finish();
  chart.blob.descriptor.size = hashing.size();
  return chart;
}

// --- A chart directory --------------------------------------------------------------------------

class DirectoryPacker {
 public:
  DirectoryPacker(FileSystem& fs, const Path& root) : fs_(fs), root_(root) {
    std::string rules;
    const Path ignore_file = root / kIgnoreFile;
    if (const auto status = fs.status(ignore_file); status && status->kind == FileKind::regular) {
      rules = read_text_file(fs, ignore_file, kMaxHelmIgnore);
    }
    ignore_ = HelmIgnore::parse(rules, ignore_file.string());
    collect("", 0);
    std::ranges::sort(files_);
  }

  PackedChart pack(UnixTime mtime) const {
    const Path metadata_path = root_ / kMetadataFile;
    if (!std::ranges::binary_search(files_, kMetadataFile)) {
      fail(root_.string(), "it holds no Chart.yaml, so it is no Helm chart");
    }
    PackedChart chart;
    chart.metadata = parse_chart_metadata(read_text_file(fs_, metadata_path, kMaxChartMetadata),
                                          metadata_path.string());
    MemorySink packed(kMaxChartPacked);
    codec::GzipWriter gzip(packed);
    codec::TarWriter tar(gzip);
    std::uint64_t total = 0;
    for (const std::string& path : files_) {
      const auto file = fs_.open(root_ / path);
      total += file->size();
      if (total > kMaxChartUnpacked) {
        throw Error(
            ErrorCode::limit,
            fmt::format("{} holds more than {} bytes, the limit for a chart", root_.string(),
                        kMaxChartUnpacked),
            "Keep large files out of the chart, by .helmignore or as files of the release.");
      }
      FileSource source(*file);
      tar.add_file(chart.metadata.name + "/" + path, kChartFileMode, mtime, file->size(), source);
    }
    tar.finish();
    gzip.finish();
    chart.blob.bytes = packed.take();
    chart.blob.descriptor.digest = sha256(chart.blob.bytes);
    chart.blob.descriptor.size = chart.blob.bytes.size();
    return chart;
  }

 private:
  void collect(const std::string& directory, std::size_t depth) {
    if (depth > kMaxChartDepth) {
      throw Error(ErrorCode::limit,
                  fmt::format("{}/{}: directories are nested deeper than {} levels", root_.string(),
                              directory, kMaxChartDepth),
                  "A chart holds templates and values only: take the rest out of it, or name it in "
                  ".helmignore.");
    }
    for (const std::string& name : fs_.list(root_ / directory)) {
      const std::string path = directory.empty() ? name : directory + "/" + name;
      const auto status = fs_.status(root_ / path);
      if (!status) continue;  // removed since it was listed
      const bool is_directory = status->kind == FileKind::directory;
      if (ignore_.ignores(path, is_directory)) continue;
      if (is_directory) {
        collect(path, depth + 1);
      } else {
        add(path, status->kind);
      }
    }
  }

  void add(const std::string& path, FileKind kind) {
    if (kind != FileKind::regular || !is_safe_relative_path(path)) {
      throw Error(ErrorCode::unsafe_path,
                  fmt::format("{}/{} is no plain file: a chart may hold no symbolic links, devices "
                              "or names with control characters",
                              root_.string(), path),
                  "Replace it by a copy of what it points to, or name it in .helmignore.");
    }
    if (files_.size() == kMaxChartFiles) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} holds more than {} files", root_.string(), kMaxChartFiles),
                  "A chart holds templates and values only: take the rest out of it, or name it in "
                  ".helmignore.");
    }
    files_.push_back(path);
  }

  FileSystem& fs_;
  const Path& root_;
  HelmIgnore ignore_;
  std::vector<std::string> files_;
};

}  // namespace

ChartArtifact pack_helm_chart(FileSystem& fs, const Path& chart, UnixTime created) {
  const auto status = fs.status(chart);
  if (!status) {
    throw Error(ErrorCode::not_found, fmt::format("the chart {} does not exist", chart.string()),
                "Check the path.");
  }
  if (status->kind != FileKind::directory && status->kind != FileKind::regular) {
    throw Error(ErrorCode::unsafe_path,
                fmt::format("the chart {} is neither a directory nor a plain file", chart.string()),
                "Name the chart itself, not a symbolic link.");
  }
  PackedChart packed = status->kind == FileKind::directory
                           ? DirectoryPacker(fs, chart).pack(created)
                           : read_packed(fs, chart);
  packed.blob.descriptor.media_type = media_type::kHelmChart;

  ArtifactBlob config;
  config.bytes = to_bytes(codec::dump_json(packed.metadata.json));
  config.descriptor.media_type = media_type::kHelmConfig;
  config.descriptor.digest = sha256(config.bytes);
  config.descriptor.size = config.bytes.size();

  Manifest manifest;
  manifest.media_type = media_type::kManifest;
  manifest.config = config.descriptor;
  manifest.layers = {packed.blob.descriptor};
  manifest.annotations = chart_annotations(packed.metadata, created);

  ChartArtifact result;
  result.name = packed.metadata.name;
  result.version = packed.metadata.version;
  if (const codec::Json* app = packed.metadata.json.find("appVersion"); app && app->is_string()) {
    result.app_version = app->as_string();
  }
  result.tag = chart_tag(result.version);
  result.artifact.manifest = make_manifest(manifest);
  result.artifact.blobs = {std::move(config), std::move(packed.blob)};
  return result;
}

}  // namespace bundle::oci
