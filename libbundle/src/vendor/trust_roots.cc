// The vendor's trust roots: begin, change, sign, merge.
#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "bundle/trust.h"
#include "source/trust_report.h"
#include "trust/limits.h"
#include "trust/news.h"
#include "trust/news_files.h"
#include "trust/root_builder.h"
#include "trust/signing.h"
#include "vendor/vendor_files.h"

namespace bundle {
namespace {

using trust::RootMetadata;
using trust::TrustRoot;
using trust::UnverifiedRoot;

constexpr std::string_view kRootStem = "root.json";
constexpr std::string_view kBareKeyFile = "root.pub";

std::string root_name(std::uint64_t version) {
  return fmt::format("{}.{}", version, kRootStem);
}

std::string read_root_text(FileSystem& fs, const Path& path) {
  return read_text_file(fs, path, trust::kMaxRootBytes);
}

MinisignPublicKey read_public_key(FileSystem& fs, const Path& path) {
  return MinisignPublicKey::parse(read_text_file(fs, path, trust::kMaxSignatureFileBytes),
                                  path.string());
}

// The newest root file of a folder; 0 when there is none.
std::uint64_t newest_version(FileSystem& fs, const Path& folder) {
  std::uint64_t newest = 0;
  for (const std::string& name : fs.list(folder)) {
    const auto numbered = trust::parse_numbered(name);
    if (numbered && numbered->stem == kRootStem) newest = std::max(newest, numbered->number);
  }
  return newest;
}

Path newest_root(FileSystem& fs, const Path& folder) {
  const std::uint64_t version = fs.status(folder) ? newest_version(fs, folder) : 0;
  if (version == 0) {
    throw Error(ErrorCode::not_found, fmt::format("{} holds no trust root", folder.string()),
                "Begin with: bundle-make trust init");
  }
  return folder / root_name(version);
}

// The root before the one at `path`, when it stands beside it: not on every signer's machine.
std::optional<RootMetadata> previous_root(FileSystem& fs, const Path& path, std::uint64_t version) {
  const Path previous =
      path.parent_path() / (version == 1 ? std::string(kBareKeyFile) : root_name(version - 1));
  if (!fs.status(previous)) return std::nullopt;
  const std::string text = read_root_text(fs, previous);
  if (version == 1) return TrustRoot::from_public_key(text, previous.string()).metadata();
  return trust::parse_root(text, previous.string()).metadata;
}

TrustRootReport report_root(FileSystem& fs, const Path& path) {
  const std::string text = read_root_text(fs, path);
  if (!text.starts_with('{')) {
    const auto key = TrustRoot::from_public_key(text, path.string());
    return source::describe_root(key.metadata(), key.fingerprint());
  }
  const UnverifiedRoot root = trust::parse_root(text, path.string());
  const auto previous = previous_root(fs, path, root.metadata.version);
  TrustRootReport report =
      source::describe_root(root.metadata, trust::root_fingerprint(root.signed_bytes));
  const auto missing = trust::missing_signatures(text, previous ? &*previous : nullptr);
  report.missing_own = missing.own;
  report.missing_previous = missing.previous;
  return report;
}

TrustRootReport write_draft(FileSystem& fs, const Path& folder, const RootMetadata& root) {
  const Path path = folder / root_name(root.version);
  write_file_atomically(fs, path, as_bytes(trust::encode_root(root)));
  return report_root(fs, path);
}

RootMetadata read_draft(FileSystem& fs, const Path& folder) {
  const Path path = newest_root(fs, folder);
  UnverifiedRoot root = trust::parse_root(read_root_text(fs, path), path.string());
  if (root.signatures.empty()) return std::move(root.metadata);
  throw Error(ErrorCode::usage, fmt::format("{} is signed already", path.string()),
              "Begin the next root with: bundle-make trust rotate");
}

std::string find_key(FileSystem& fs, const RootMetadata& root, const std::string& text) {
  for (const auto& [id, key] : root.keys) {
    if (id == text || (key.minisign_id && key.minisign_id->text() == text)) return id;
  }
  if (fs.status(text)) return trust::tuf_key_id(read_public_key(fs, text).key);
  throw Error(ErrorCode::usage, fmt::format("the trust root has no key {}", text),
              "'bundle-make trust show' lists its keys.");
}

std::vector<std::string> roles_of(const RootMetadata& root, const std::string& key) {
  std::vector<std::string> roles;
  for (const auto& [name, role] : root.roles) {
    if (std::ranges::find(role.key_ids, key) != role.key_ids.end()) roles.push_back(name);
  }
  return roles;
}

void check_roles(const TrustInit& options) {
  for (const std::string_view role : {trust::role::kRoot, trust::role::kRelease,
                                      trust::role::kTimestamp, trust::role::kCarrier}) {
    if (options.keys.contains(std::string(role)) || !options.from.empty()) continue;
    throw Error(
        ErrorCode::usage, fmt::format("the role '{}' has no key", role),
        fmt::format("Give at least one: --{}-key PUB. One key may have several roles.", role));
  }
}

// Signing with a key that cannot count is a mistake that would be found only when all have signed.
void check_counts(const Signer& signer, const RootMetadata& root,
                  const std::optional<RootMetadata>& previous) {
  const auto key = signer.public_key();
  if (!key || (!previous && root.version > 1)) return;
  const std::string id = trust::tuf_key_id(key->key);
  const auto has = [&](const RootMetadata& metadata) {
    const auto& ids = trust::find_role(metadata, trust::role::kRoot)->key_ids;
    return std::ranges::find(ids, id) != ids.end();
  };
  if (has(root) || (previous && has(*previous))) return;
  throw Error(ErrorCode::usage,
              fmt::format("key {} has the role 'root' neither in root {} nor in the one before",
                          key->id.text(), root.version),
              "Sign with a root key.");
}

TrustSignReport sign_root_file(FileSystem& fs, const Path& path, const SignWith& with) {
  const std::string text = read_root_text(fs, path);
  const RootMetadata root = trust::parse_root(text, path.string()).metadata;
  const auto previous = previous_root(fs, path, root.version);
  const auto signer = vendor::open_signer(fs, with);
  check_counts(*signer, root, previous);
  const std::string signed_text = trust::sign_root(text, *signer);
  write_file_atomically(fs, path, as_bytes(signed_text));
  const auto missing = trust::missing_signatures(signed_text, previous ? &*previous : nullptr);
  return {path, fmt::format("trust root version {}", root.version), true, missing.own,
          missing.previous};
}

bool merge_root(FileSystem& fs, const Path& path, const trust::SignatureFile& copy) {
  const std::string own = read_root_text(fs, path);
  const std::string merged = trust::merge_roots(own, copy.content);
  if (merged == own) return false;
  write_file_atomically(fs, path, as_bytes(merged));
  return true;
}

// The document in `folder` that a signature file is for; empty when there is none.
std::string find_signed(FileSystem& fs, const Path& folder, const std::string& signature) {
  for (const std::string& name : fs.list(folder)) {
    if (name.ends_with(".json") && trust::is_signature_of(signature, name)) return name;
  }
  return {};
}

// A signature that was made over something else must not come beside the document.
bool merge_signature(FileSystem& fs, const Path& folder, const trust::SignatureFile& file) {
  const std::string name = source::base_name(file.name);
  const std::string document = find_signed(fs, folder, name);
  if (document.empty() || fs.status(folder / name)) return false;
  const Path copy = Path(file.name).parent_path() / document;
  const auto limit = trust::kMaxRevocationBytes;
  if (fs.status(copy) &&
      read_text_file(fs, copy, limit) != read_text_file(fs, folder / document, limit)) {
    throw Error(ErrorCode::statement_mismatch,
                fmt::format("{} and {} differ", copy.string(), (folder / document).string()),
                "Have the signers sign copies of one and the same file.");
  }
  MinisignSignature::parse(file.content, file.name);
  write_file_atomically(fs, folder / name, as_bytes(file.content));
  return true;
}

}  // namespace

TrustRootReport trust_init(const TrustInit& options) {
  FileSystem& fs = posix_file_system();
  check_roles(options);
  RootMetadata first;
  std::string bare;
  if (!options.from.empty()) {
    bare = read_text_file(fs, options.from, trust::kMaxSignatureFileBytes);
    first = TrustRoot::from_public_key(bare, options.from.string()).metadata();
  }
  RootMetadata root = trust::next_root(first, build_time() + options.expires_days * vendor::kDay);
  for (const auto& [role, files] : options.keys) {
    for (const auto& file : files) trust::add_key(root, role, read_public_key(fs, file));
  }
  for (const auto& [role, threshold] : options.thresholds)
    trust::set_threshold(root, role, threshold);
  fs.create_directories(options.folder);
  if (newest_version(fs, options.folder) > 0) {
    throw Error(ErrorCode::name_collision,
                fmt::format("{} holds trust roots already", options.folder.string()),
                "'bundle-make trust rotate' begins the next one.");
  }
  if (!bare.empty()) write_file_atomically(fs, options.folder / kBareKeyFile, as_bytes(bare));
  return write_draft(fs, options.folder, root);
}

TrustRootReport trust_rotate(const std::filesystem::path& folder, unsigned expires_days) {
  FileSystem& fs = posix_file_system();
  const Path path = newest_root(fs, folder);
  const TrustRootReport current = report_root(fs, path);
  if (current.missing_own > 0 || current.missing_previous > 0) {
    throw Error(ErrorCode::usage,
                fmt::format("{} still needs {} signatures", path.string(),
                            std::max(current.missing_own, current.missing_previous)),
                "Have it signed first, or remove the file to begin it again.");
  }
  const auto root = trust::parse_root(read_root_text(fs, path), path.string());
  return write_draft(fs, folder,
                     trust::next_root(root.metadata, build_time() + expires_days * vendor::kDay));
}

TrustRootReport trust_add_key(const std::filesystem::path& folder, const std::string& role,
                              const std::filesystem::path& public_key, std::uint64_t threshold) {
  FileSystem& fs = posix_file_system();
  RootMetadata root = read_draft(fs, folder);
  if (trust::find_role(root, role) == nullptr) {
    throw Error(ErrorCode::usage, fmt::format("there is no role '{}'", role),
                "Roles: root, release, timestamp, carrier.");
  }
  trust::add_key(root, role, read_public_key(fs, public_key));
  if (threshold > 0) trust::set_threshold(root, role, threshold);
  return write_draft(fs, folder, root);
}

TrustRootReport trust_remove_key(const std::filesystem::path& folder, const std::string& role,
                                 const std::string& key, std::uint64_t threshold) {
  FileSystem& fs = posix_file_system();
  RootMetadata root = read_draft(fs, folder);
  const std::string id = find_key(fs, root, key);
  const auto roles = role.empty() ? roles_of(root, id) : std::vector{role};
  for (const std::string& name : roles) {
    const trust::RootRole* entry = trust::find_role(root, name);
    // Lowered before, so that a role may give up its key and its threshold in one step.
    if (threshold > 0 && entry != nullptr && threshold < entry->threshold) {
      trust::set_threshold(root, name, threshold);
    }
    trust::remove_key(root, name, id);
    if (threshold > 0) trust::set_threshold(root, name, threshold);
  }
  return write_draft(fs, folder, root);
}

TrustSignReport trust_sign(const std::filesystem::path& path, const SignWith& sign) {
  FileSystem& fs = posix_file_system();
  if (sign.empty()) {
    throw Error(ErrorCode::usage, "nothing says who signs",
                "Give --key FILE or --sign-command CMD.");
  }
  const auto status = fs.status(path);
  if (status && status->kind == FileKind::directory) {
    return sign_root_file(fs, newest_root(fs, path), sign);
  }
  if (path.string().ends_with("." + std::string(kRootStem))) return sign_root_file(fs, path, sign);
  const std::string document = read_text_file(fs, path, trust::kMaxRevocationBytes);
  const std::string comment = trust::trusted_comment(document, path.string());
  const auto signer = vendor::open_signer(fs, sign);
  const MinisignSignature signature = signer->sign(as_bytes(document), comment);
  const Path file =
      path.parent_path() / trust::signature_file_name(path.filename().string(), signature);
  write_file_atomically(fs, file, as_bytes(signature.text()));
  return {file, comment, false, 0, 0};
}

TrustMergeReport trust_merge(const std::filesystem::path& folder,
                             const std::vector<std::filesystem::path>& others) {
  FileSystem& fs = posix_file_system();
  TrustMergeReport report;
  bool fits = false;
  for (const auto& other : others) {
    for (const trust::SignatureFile& file : trust::read_trust_files(fs, other)) {
      const std::string name = source::base_name(file.name);
      const bool root = name.ends_with("." + std::string(kRootStem));
      if (root && !fs.status(folder / name)) continue;
      fits = fits || root || !find_signed(fs, folder, name).empty();
      const bool gained = root ? merge_root(fs, folder / name, file)
                               : name.ends_with(".minisig") && merge_signature(fs, folder, file);
      if (gained) report.files.push_back(name);
    }
  }
  if (!fits) {
    throw Error(ErrorCode::not_found,
                fmt::format("no copy of a document of {} was found there", folder.string()),
                "Name the folders that the signers' copies stand in.");
  }
  return report;
}

TrustRootReport trust_show(const std::filesystem::path& path) {
  FileSystem& fs = posix_file_system();
  const auto status = fs.status(path);
  const bool folder = status && status->kind == FileKind::directory;
  return report_root(fs, folder ? newest_root(fs, path) : Path(path));
}

}  // namespace bundle
