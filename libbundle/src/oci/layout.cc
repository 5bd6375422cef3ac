#include "oci/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "codec/json.h"
#include "oci/document.h"
#include "oci/reference.h"

namespace bundle::oci {
namespace {

constexpr std::uint64_t kMaxLayoutMarkerBytes = 4096;  // oci-layout has one short member
constexpr std::string_view kContainerdName = "io.containerd.image.name";
constexpr std::size_t kMaxListedTags = 20;  // in a message

Bytes read_range(FileRange range, std::uint64_t limit, std::string_view what) {
  if (range.size > limit) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {}", what, range.size, limit),
                "No real image is like that: check where it comes from.");
  }
  const auto source = range_source(std::move(range));
  return read_all(*source, limit, what);
}

std::string blob_file(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

std::string_view annotation_of(const Descriptor& descriptor, std::string_view key) {
  const auto found = descriptor.annotations.find(key);
  return found == descriptor.annotations.end() ? std::string_view{} : found->second;
}

// The tag without the repository that some tools put before it: "app/server:sha256-...sig".
std::string_view bare_tag(std::string_view name) {
  const std::size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

// Without what a layout's index.json says about its own entry.
Descriptor bare(const Descriptor& descriptor) {
  Descriptor result = descriptor;
  result.annotations.clear();
  return result;
}

class LayoutSource final : public ContentSource {
 public:
  LayoutSource(std::unique_ptr<LayoutFiles> files, const LayoutSelector& selector, std::string name)
      : files_(std::move(files)), name_(std::move(name)) {
    check_marker();
    read_index();
    root_ = select(selector);
    if (!is_document_type(root_.media_type)) {
      throw Error(
          ErrorCode::oci_invalid,
          fmt::format("{} is of type {}, no image manifest and no index", name_, root_.media_type),
          "Name an image: the tag points to something else.");
    }
  }

  Document root() override {
    auto found = document(root_);
    if (!found) missing(root_.digest);
    return std::move(*found);
  }

  std::optional<Document> document(const Descriptor& descriptor) override {
    auto range = files_->open(blob_file(descriptor.digest));
    if (!range) return std::nullopt;
    const std::string what = fmt::format("{}: document {}", name_, descriptor.digest.text());
    Document document{descriptor, read_range(std::move(*range), kMaxDocumentBytes, what)};
    check_bytes(descriptor, document.bytes, what);
    return document;
  }

  std::unique_ptr<Source> open_blob(const Descriptor& descriptor) override {
    auto range = files_->open(blob_file(descriptor.digest));
    if (!range) missing(descriptor.digest);
    return verified_source(std::move(*range), descriptor.digest, descriptor.size, name_);
  }

  std::vector<Descriptor> referrers(const Digest& digest) override {
    std::call_once(referrers_once_, [this] { find_referrers(); });
    const auto found = referrers_.find(digest);
    return found == referrers_.end() ? std::vector<Descriptor>{} : found->second;
  }

  std::string name() const override { return name_; }

 private:
  [[noreturn]] void missing(const Digest& digest) const {
    throw Error(ErrorCode::not_found, fmt::format("{} does not hold blob {}", name_, digest.text()),
                "The layout is incomplete: copy the image again with everything it names.");
  }

  void check_marker() const;
  void read_index();
  Descriptor select(const LayoutSelector& selector);
  Descriptor select_tag(const LayoutSelector& selector) const;
  Descriptor select_digest(const Digest& digest) const;
  Descriptor select_only();
  std::string known_tags() const;
  std::optional<Digest> subject_of(const Descriptor& descriptor);
  void find_referrers();
  void add_by_digest_tag(const Descriptor& entry, std::string_view tag, const Digest& subject);
  void add_by_subject(const Descriptor& entry);

  std::unique_ptr<LayoutFiles> files_;
  std::string name_;
  std::vector<Descriptor> entries_;  // of index.json
  Descriptor root_;
  std::once_flag referrers_once_;
  std::map<Digest, std::vector<Descriptor>> referrers_;
};

void LayoutSource::check_marker() const {
  auto range = files_->open("oci-layout");
  if (!range) {
    throw Error(
        ErrorCode::oci_invalid,
        fmt::format("{} is no OCI image layout: it has no file 'oci-layout'", files_->name()),
        "Check the path. A layout is made by: skopeo copy docker://IMAGE oci:DIR:TAG");
  }
  const std::string what = files_->name() + "/oci-layout";
  const Bytes bytes = read_range(std::move(*range), kMaxLayoutMarkerBytes, what);
  const std::string version =
      codec::parse_json(as_text(bytes), what).string_or("imageLayoutVersion", "");
  if (version != "1.0.0") {
    throw Error(ErrorCode::unsupported,
                fmt::format("{} is of layout version '{}', only 1.0.0 is known", files_->name(),
                            version.substr(0, 40)),
                "Copy the image with a current tool: skopeo copy oci:OLD oci:NEW");
  }
}

void LayoutSource::read_index() {
  auto range = files_->open("index.json");
  const std::string what = files_->name() + "/index.json";
  if (!range) {
    throw Error(ErrorCode::oci_invalid, fmt::format("{} is missing", what),
                "The layout is incomplete: copy it again.");
  }
  const Bytes bytes = read_range(std::move(*range), kMaxDocumentBytes, what);
  entries_ = parse_index(bytes, media_type::kIndex, what).manifests;
}

Descriptor LayoutSource::select(const LayoutSelector& selector) {
  if (!selector.tag.empty()) return bare(select_tag(selector));
  if (selector.digest) return bare(select_digest(*selector.digest));
  return bare(select_only());
}

Descriptor LayoutSource::select_tag(const LayoutSelector& selector) const {
  const Descriptor* chosen = nullptr;
  for (const Descriptor& entry : entries_) {
    if (annotation_of(entry, annotation::kRefName) != selector.tag &&
        annotation_of(entry, kContainerdName) != selector.tag) {
      continue;
    }
    if (chosen != nullptr && chosen->digest != entry.digest) {
      throw Error(ErrorCode::name_collision,
                  fmt::format("{}: the tag '{}' names both {} and {}", files_->name(), selector.tag,
                              chosen->digest.text(), entry.digest.text()),
                  "Name the one you mean by digest: oci:DIR@sha256:...");
    }
    chosen = &entry;
  }
  if (chosen == nullptr) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} holds no image '{}'; it holds {}", files_->name(), selector.tag,
                            known_tags()),
                "Correct the tag.");
  }
  if (selector.digest && chosen->digest != *selector.digest) {
    throw Error(ErrorCode::not_found,
                fmt::format("{}: '{}' is {}, not the {} that is asked for", files_->name(),
                            selector.tag, chosen->digest.text(), selector.digest->text()),
                "Somebody moved the tag: decide which image you mean.");
  }
  return *chosen;
}

Descriptor LayoutSource::select_digest(const Digest& digest) const {
  const auto listed = std::ranges::find(entries_, digest, &Descriptor::digest);
  if (listed != entries_.end()) return *listed;
  // A child of an index is not listed: its own bytes tell what it is.
  auto range = files_->open(blob_file(digest));
  if (!range) missing(digest);
  const std::string what = fmt::format("{}: {}", name_, digest.text());
  Descriptor descriptor;
  descriptor.digest = digest;
  descriptor.size = range->size;
  const Bytes bytes = read_range(std::move(*range), kMaxDocumentBytes, what);
  check_bytes(descriptor, bytes, what);
  descriptor.media_type = sniff_media_type(bytes, what);
  return descriptor;
}

Descriptor LayoutSource::select_only() {
  const Descriptor* chosen = nullptr;
  for (const Descriptor& entry : entries_) {
    if (parse_digest_tag(bare_tag(annotation_of(entry, annotation::kRefName)))) continue;
    if (chosen != nullptr && chosen->digest == entry.digest) continue;
    if (subject_of(entry)) continue;
    if (chosen != nullptr) {
      throw Error(ErrorCode::usage,
                  fmt::format("{} holds more than one image: {}", files_->name(), known_tags()),
                  "Say which one: add :TAG or @sha256:DIGEST to the source.");
    }
    chosen = &entry;
  }
  if (chosen == nullptr) {
    throw Error(ErrorCode::not_found, fmt::format("{} holds no image", files_->name()),
                "Check the path; the layout's index.json lists none.");
  }
  return *chosen;
}

std::string LayoutSource::known_tags() const {
  std::set<std::string_view> tags;
  for (const Descriptor& entry : entries_) {
    const std::string_view tag = annotation_of(entry, annotation::kRefName);
    if (!tag.empty() && !parse_digest_tag(bare_tag(tag))) tags.insert(tag);
    const std::string_view name = annotation_of(entry, kContainerdName);
    if (!name.empty()) tags.insert(name);
  }
  if (tags.empty()) return fmt::format("{} without a tag", entries_.size());
  std::string text;
  std::size_t listed = 0;
  for (const std::string_view tag : tags) {
    if (listed++ == kMaxListedTags)
      return text + fmt::format(" and {} more", tags.size() - kMaxListedTags);
    text += fmt::format("{}'{}'", text.empty() ? "" : ", ", tag.substr(0, 200));
  }
  return text;
}

std::optional<Digest> LayoutSource::subject_of(const Descriptor& descriptor) {
  if (!is_document_type(descriptor.media_type)) return std::nullopt;
  const auto found = document(descriptor);
  if (!found) return std::nullopt;  // a sparse layout; whoever needs the document will say so
  const auto subject = is_index_type(descriptor.media_type) ? parse_index(*found).subject
                                                            : parse_manifest(*found).subject;
  return subject ? std::optional(subject->digest) : std::nullopt;
}

void LayoutSource::find_referrers() {
  for (const Descriptor& entry : entries_) {
    const std::string_view tag = bare_tag(annotation_of(entry, annotation::kRefName));
    if (const auto subject = parse_digest_tag(tag)) {
      add_by_digest_tag(entry, tag, *subject);
    } else {
      add_by_subject(entry);
    }
  }
  const auto order = [](const Descriptor& a, const Descriptor& b) {
    return std::pair(a.digest, annotation_of(a, annotation::kRefName)) <
           std::pair(b.digest, annotation_of(b, annotation::kRefName));
  };
  for (auto& [subject, list] : referrers_) {
    std::ranges::sort(list, order);
    const auto repeated = std::ranges::unique(list);
    list.erase(repeated.begin(), repeated.end());
  }
}

void LayoutSource::add_by_digest_tag(const Descriptor& entry, std::string_view tag,
                                     const Digest& subject) {
  if (tag != digest_tag(subject)) {  // cosign's .sig, .att, .sbom
    Descriptor referrer = bare(entry);
    referrer.annotations.emplace(annotation::kRefName, tag);
    referrers_[subject].push_back(std::move(referrer));
    return;
  }
  // The index that stands in for the referrers API.
  if (!is_index_type(entry.media_type)) return;
  const auto found = document(entry);
  if (!found) return;
  for (const Descriptor& listed : parse_index(*found).manifests) add_by_subject(listed);
}

void LayoutSource::add_by_subject(const Descriptor& entry) {
  if (const auto subject = subject_of(entry)) referrers_[*subject].push_back(bare(entry));
}

}  // namespace

std::shared_ptr<ContentSource> open_layout(std::unique_ptr<LayoutFiles> files,
                                           const LayoutSelector& selector, std::string name) {
  return std::make_shared<LayoutSource>(std::move(files), selector, std::move(name));
}

std::vector<LayoutEntry> open_layout_entries(FileSystem& fs, const Path& directory) {
  const Path index = directory / "index.json";
  const Bytes bytes = read_file(fs, index, kMaxDocumentBytes);
  std::vector<LayoutEntry> out;
  for (const Descriptor& entry : parse_index(bytes, media_type::kIndex, index.string()).manifests) {
    const std::string name = fmt::format("oci:{}@{}", directory.string(), entry.digest.text());
    out.push_back({open_layout(directory_files(fs, directory), {{}, entry.digest}, name),
                   std::string(annotation_of(entry, annotation::kRefName))});
  }
  return out;
}

}  // namespace bundle::oci
