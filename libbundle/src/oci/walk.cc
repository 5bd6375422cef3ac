#include "oci/walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "oci/document.h"

namespace bundle::oci {
namespace {

// moby/buildkit docs/attestations/attestation-storage.md
constexpr std::string_view kAttestationType = "vnd.docker.reference.type";
constexpr std::string_view kAttestationOf = "vnd.docker.reference.digest";

std::string tag_of(const Descriptor& descriptor) {
  const auto found = descriptor.annotations.find(annotation::kRefName);
  return found == descriptor.annotations.end() ? std::string{} : found->second;
}

// How a message calls a child: "linux/arm64 sha256:...".
std::string entry_text(const Descriptor& entry) {
  return entry.platform ? entry.platform->text() + " " + entry.digest.text() : entry.digest.text();
}

class Walker {
 public:
  Walker(ContentSource& source, const WalkOptions& options)
      : source_(source), options_(options), found_(options.wanted.size(), false) {}

  Closure run();

 private:
  // Which children of an index to follow.
  enum class Choice : std::uint8_t { wanted, all };

  void visit(const Document& document, Choice choice, std::size_t depth);
  void visit_manifest(const Document& document);
  void visit_index(const Document& document, Choice choice, std::size_t depth);
  void visit_child(const Descriptor& entry, Choice choice, std::size_t depth);
  void visit_attestation(const Descriptor& entry);
  bool is_chosen(const Descriptor& entry, Choice choice);
  bool is_wanted(const Platform& platform);
  std::optional<Platform> platform_of(const Manifest& manifest);
  std::optional<Document> fetch(const Descriptor& descriptor);
  void require_platforms() const;
  void add_document(const Document& document);
  void add_blob(const Descriptor& blob);
  bool is_readable(const Descriptor& blob);
  void collect_referrers();
  void add_referrer(const Descriptor& listed, const Digest& subject);

  ContentSource& source_;
  const WalkOptions& options_;
  Closure closure_;
  std::set<Digest> documents_;
  std::set<Digest> attestations_;
  std::set<Digest> of_root_;  // documents that the root leads to, not referrers
  std::map<Digest, std::uint64_t> blob_sizes_;
  std::uint64_t document_bytes_ = 0;
  std::vector<bool> found_;          // by index of options_.wanted
  std::set<std::string> platforms_;  // that exist
};

Closure Walker::run() {
  closure_.root = source_.root();
  Document& root = closure_.root;
  check_bytes(root.descriptor, root.bytes, source_.name());
  // What the place where it was found says about it is not content.
  root.descriptor.annotations.clear();
  root.descriptor.platform.reset();
  if (is_manifest_type(root.descriptor.media_type)) {
    const Manifest manifest = parse_manifest(root);
    root.descriptor.artifact_type = manifest.artifact_type;
    if (!options_.wanted.empty()) {
      const auto platform = platform_of(manifest);
      if (platform) is_wanted(*platform);
    }
  }
  visit(root, Choice::wanted, 0);
  require_platforms();
  of_root_ = documents_;
  if (options_.referrers) collect_referrers();
  std::erase_if(closure_.blobs,
                [this](const Descriptor& blob) { return documents_.contains(blob.digest); });
  return std::move(closure_);
}

void Walker::visit(const Document& document, Choice choice, std::size_t depth) {
  if (documents_.contains(document.descriptor.digest)) return;
  add_document(document);
  if (is_index_type(document.descriptor.media_type)) {
    visit_index(document, choice, depth);
  } else {
    visit_manifest(document);
  }
}

void Walker::add_document(const Document& document) {
  document_bytes_ += document.bytes.size();
  if (documents_.size() >= kMaxClosureDocuments || document_bytes_ > kMaxClosureDocumentBytes) {
    throw Error(ErrorCode::limit,
                fmt::format("{} names more than {} documents or {} bytes of them", source_.name(),
                            kMaxClosureDocuments, kMaxClosureDocumentBytes),
                "Name the platforms that the release needs, to carry a part of the image only.");
  }
  documents_.insert(document.descriptor.digest);
  closure_.documents.push_back(document);
}

void Walker::visit_manifest(const Document& document) {
  const Manifest manifest = parse_manifest(document);
  add_blob(manifest.config);
  for (const Descriptor& layer : manifest.layers) add_blob(layer);
}

void Walker::visit_index(const Document& document, Choice choice, std::size_t depth) {
  if (depth >= kMaxIndexDepth) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{}: indexes are nested deeper than {} levels", source_.name(), kMaxIndexDepth),
        "No real image is like that: check where it comes from.");
  }
  const Index index = parse_index(document);
  std::set<Digest> chosen;
  for (const Descriptor& entry : index.manifests) {
    if (!is_attestation(entry) && is_chosen(entry, choice)) chosen.insert(entry.digest);
  }
  for (const Descriptor& entry : index.manifests) {
    const auto speaks_about = entry.annotations.find(kAttestationOf);
    if (chosen.contains(entry.digest)) {
      visit_child(entry, choice, depth + 1);
    } else if (is_attestation(entry) && speaks_about != entry.annotations.end() &&
               Digest::is_valid(speaks_about->second) &&
               chosen.contains(Digest::parse(speaks_about->second))) {
      visit_attestation(entry);
    } else {
      closure_.skipped.push_back(entry);
    }
  }
}

void Walker::visit_child(const Descriptor& entry, Choice choice, std::size_t depth) {
  if (!is_document_type(entry.media_type)) return add_blob(entry);
  const auto child = fetch(entry);
  if (!child && options_.sparse) return closure_.skipped.push_back(entry);
  if (!child) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} does not hold {}, which its index names", source_.name(),
                            entry_text(entry)),
                "Copy the image with all its platforms, or name in the release the platforms that "
                "it needs.");
  }
  visit(*child, choice, depth);
}

void Walker::visit_attestation(const Descriptor& entry) {
  const auto document = is_manifest_type(entry.media_type) ? fetch(entry) : std::nullopt;
  if (!document) {
    closure_.skipped.push_back(entry);
    return;
  }
  attestations_.insert(entry.digest);
  visit(*document, Choice::all, 0);
}

std::optional<Document> Walker::fetch(const Descriptor& descriptor) {
  auto document = source_.document(descriptor);
  if (document) {
    check_bytes(descriptor, document->bytes,
                fmt::format("{}: document {}", source_.name(), descriptor.digest.text()));
  }
  return document;
}

bool Walker::is_chosen(const Descriptor& entry, Choice choice) {
  if (choice == Choice::all || options_.wanted.empty()) return true;
  if (entry.platform) return is_wanted(*entry.platform);
  if (!is_manifest_type(entry.media_type)) return true;  // a nested index chooses for itself
  const auto child = fetch(entry);
  if (!child) return false;
  const auto platform = platform_of(parse_manifest(*child));
  return !platform || is_wanted(*platform);
}

bool Walker::is_wanted(const Platform& platform) {
  platforms_.insert(platform.text());
  bool wanted = false;
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (!platform.matches(options_.wanted[i])) continue;
    found_[i] = true;
    wanted = true;
  }
  return wanted;
}

// Nothing for artifacts, which run on no platform.
std::optional<Platform> Walker::platform_of(const Manifest& manifest) {
  if (!is_image_config_type(manifest.config.media_type)) return std::nullopt;
  const std::string what =
      fmt::format("{}: image config {}", source_.name(), manifest.config.digest.text());
  const auto stream = source_.open_blob(manifest.config);
  const Bytes config = read_all(*stream, kMaxDocumentBytes, what);
  return config_platform(config, what);
}

void Walker::require_platforms() const {
  if (platforms_.empty()) return;
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (found_[i]) continue;
    throw Error(ErrorCode::not_found,
                fmt::format("{} has no image for {}; it has {}", source_.name(),
                            options_.wanted[i].text(), fmt::join(platforms_, ", ")),
                "Correct the platforms of the release, or use an image that was built for them.");
  }
}

void Walker::add_blob(const Descriptor& blob) {
  const auto [known, is_new] = blob_sizes_.try_emplace(blob.digest, blob.size);
  if (known->second != blob.size) {
    throw Error(ErrorCode::oci_invalid,
                fmt::format("{}: blob {} is declared with {} and with {} bytes", source_.name(),
                            blob.digest.text(), known->second, blob.size),
                "Get the image again from where it was made.");
  }
  if (!is_new) return;
  if (blob_sizes_.size() > kMaxClosureBlobs) {
    throw Error(ErrorCode::limit,
                fmt::format("{} names more than {} blobs", source_.name(), kMaxClosureBlobs),
                "No real image is like that: check where it comes from.");
  }
  const bool held = !is_nondistributable_type(blob.media_type) || is_readable(blob);
  (held ? closure_.blobs : closure_.absent).push_back(blob);
}

bool Walker::is_readable(const Descriptor& blob) {
  try {
    source_.open_blob(blob);
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return false;
    throw;
  }
}

void Walker::collect_referrers() {
  // closure_.documents grows while this runs: what hangs on a referrer is found as well.
  std::size_t level_end = closure_.documents.size();
  std::size_t depth = 0;
  for (std::size_t i = 0; i < closure_.documents.size(); ++i) {
    if (i == level_end) {
      if (++depth == kMaxReferrerDepth) return;
      level_end = closure_.documents.size();
    }
    const Digest subject = closure_.documents[i].descriptor.digest;
    if (attestations_.contains(subject)) continue;
    std::vector<Descriptor> listed = source_.referrers(subject);
    std::ranges::sort(listed, {},
                      [](const Descriptor& d) { return std::pair(d.digest, tag_of(d)); });
    for (const Descriptor& referrer : listed) add_referrer(referrer, subject);
  }
}

void Walker::add_referrer(const Descriptor& listed, const Digest& subject) {
  if (of_root_.contains(listed.digest) || !is_document_type(listed.media_type)) return;
  const auto document = fetch(listed);
  if (!document) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} does not hold {}, a signature or attestation of {}", source_.name(),
                            listed.digest.text(), subject.text()),
                "Copy the image again together with its signatures.");
  }
  ReferrerRoot root{{}, subject, tag_of(listed)};
  root.descriptor.media_type = listed.media_type;
  root.descriptor.digest = listed.digest;
  root.descriptor.size = listed.size;
  std::optional<Descriptor> own_subject;
  if (is_index_type(listed.media_type)) {
    const Index index = parse_index(*document);
    root.descriptor.artifact_type = index.artifact_type;
    own_subject = index.subject;
  } else {
    const Manifest manifest = parse_manifest(*document);
    root.descriptor.artifact_type = manifest.kind();
    own_subject = manifest.subject;
  }
  // A stale list of a registry may name what speaks about something else.
  if (root.tag.empty() && (!own_subject || own_subject->digest != subject)) return;
  visit({root.descriptor, document->bytes}, Choice::all, 0);
  if (std::ranges::find(closure_.referrer_roots, root) == closure_.referrer_roots.end()) {
    closure_.referrer_roots.push_back(std::move(root));
  }
}

}  // namespace

bool is_attestation(const Descriptor& entry) {
  return entry.annotations.contains(kAttestationType);
}

Closure walk(ContentSource& source, const WalkOptions& options) {
  return Walker(source, options).run();
}

}  // namespace bundle::oci
