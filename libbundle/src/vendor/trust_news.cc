// The vendor's news: revocation lists, channel pointers, time statements.
#include <fmt/format.h>

#include <algorithm>

#include "base/time.h"
#include "bundle/error.h"
#include "bundle/trust.h"
#include "format/volume.h"
#include "pack/bundle_signing.h"
#include "release/manifest.h"
#include "source/trust_report.h"
#include "trust/limits.h"
#include "trust/news.h"
#include "trust/news_files.h"
#include "trust/root_metadata.h"
#include "trust/signing.h"
#include "trust/statement.h"
#include "trust/time_statement.h"
#include "unpack/volume_set.h"
#include "vendor/vendor_files.h"

namespace bundle {
namespace {

using trust::RevocationList;
using trust::SignatureFile;

constexpr unsigned kMaxDays = 36'500;
// A name in a bundle's file list has 128 bytes, of which number and signature's suffix take 50.
constexpr std::size_t kMaxChannelBytes = 64;

// The one with the highest number, as the file's name says it.
const SignatureFile* newest(const std::vector<SignatureFile>& files, std::string_view stem) {
  const SignatureFile* found = nullptr;
  std::uint64_t highest = 0;
  for (const SignatureFile& file : files) {
    const auto numbered = trust::parse_numbered(source::base_name(file.name));
    if (!numbered || numbered->stem != stem || numbered->number <= highest) continue;
    highest = numbered->number;
    found = &file;
  }
  return found;
}

std::uint64_t number_of(const SignatureFile* file) {
  return file == nullptr ? 0 : trust::parse_numbered(source::base_name(file->name))->number;
}

SignedDocumentReport write_document(FileSystem& fs, const Path& path, const std::string& document,
                                    std::uint64_t number, const SignWith& sign) {
  fs.create_directories(path.parent_path().empty() ? Path(".") : path.parent_path());
  SignedDocumentReport report{path, number, {}, 0};
  write_file_atomically(fs, path, as_bytes(document));
  if (!sign.empty()) report.signatures.push_back(trust_sign(path, sign).file.filename().string());
  return report;
}

std::string read_statement(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  const bool volume = format::is_volume_name(path.filename().string());
  if (status && status->kind == FileKind::regular && !volume) {
    return read_text_file(fs, path, trust::kMaxStatementBytes);
  }
  std::string text = vendor::find_document(fs, path, "statement.json");
  if (text.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("{} holds no statement.json and no volume", path.string()),
                "Name a bundle's folder, a volume or a statement.json.");
  }
  return text;
}

// A key that was revoked may be gone from the newest root: any root of the folder tells its id.
std::string revoked_key(FileSystem& fs, const std::vector<SignatureFile>& files,
                        const std::string& text) {
  for (const SignatureFile& file : files) {
    if (!file.name.ends_with(".root.json")) continue;
    for (const auto& [id, key] : trust::parse_root(file.content, file.name).metadata.keys) {
      if (id == text || (key.minisign_id && key.minisign_id->text() == text)) return id;
    }
  }
  if (fs.status(text)) {
    const std::string key = read_text_file(fs, text, trust::kMaxSignatureFileBytes);
    return trust::tuf_key_id(MinisignPublicKey::parse(key, text).key);
  }
  throw Error(ErrorCode::usage, fmt::format("no trust root of the folder has a key {}", text),
              "Give the key's public key file.");
}

void add_release(RevocationList& list, const trust::Statement& statement, const Digest& digest,
                 const std::string& reason) {
  if (!list.product.empty() && list.product != statement.product) {
    throw Error(ErrorCode::usage,
                fmt::format("release {} is of product {}, the list of {}", statement.version,
                            statement.product, list.product),
                "A list belongs to one product: use another trust folder.");
  }
  list.product = statement.product;
  std::erase_if(list.releases, [&](const trust::RevokedRelease& entry) {
    return entry.statement_digest == digest;
  });
  list.releases.push_back({digest, statement.version, reason});
}

void check_days(unsigned days) {
  if (days > 0 && days <= kMaxDays) return;
  throw Error(ErrorCode::usage, fmt::format("{} days is outside 1 to {}", days, kMaxDays));
}

void check_channel(const std::string& channel) {
  const bool good = !channel.empty() && channel.size() <= kMaxChannelBytes &&
                    std::ranges::all_of(channel, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                    });
  if (good) return;
  throw Error(ErrorCode::usage, fmt::format("'{}' is no channel name", channel),
              fmt::format("1 to {} of a-z, 0-9 and '-', like stable.", kMaxChannelBytes));
}

bool is_folder(FileSystem& fs, const Path& path) {
  const auto status = fs.status(path);
  return status && status->kind == FileKind::directory;
}

struct PromotedRelease {
  std::string product;
  std::string version;
  Digest statement;
  std::optional<release::BasePolicy> base;  // where a manifest is at hand
};

PromotedRelease read_release(FileSystem& fs, const Path& bundle) {
  const std::string text = read_statement(fs, bundle);
  const trust::Statement statement = trust::parse_statement(text, "statement.json");
  PromotedRelease release{statement.product, statement.version, sha256(as_bytes(text)), {}};
  const bool loose = !unpack::looks_like_bundle(fs, bundle) && !is_folder(fs, bundle);
  const std::string manifest =
      vendor::find_document(fs, loose ? bundle.parent_path() : bundle, "manifest.json");
  // A lone copy of a statement: publish looks again, with the manifest.
  if (sha256(as_bytes(manifest)) != statement.manifest_digest) return release;
  release.base = release::parse_manifest(manifest, "manifest.json").base_policy;
  return release;
}

// The release that another channel stands at, by a pointer that sites would follow.
PromotedRelease follow_channel(FileSystem& fs, const std::vector<SignatureFile>& files,
                               const PromoteOptions& options) {
  const auto root = vendor::vendor_root(fs, options.folder, files, options.trust);
  for (const auto& item : trust::read_news(root, files, build_time()).pointers) {
    const trust::ChannelPointer& pointer = *item.document;
    if (pointer.channel != options.from) continue;
    return {pointer.product, pointer.release_version, pointer.statement_digest, {}};
  }
  throw Error(ErrorCode::not_found,
              fmt::format("{} has no pointer of channel {}", options.folder.string(), options.from),
              "Promote a bundle to that channel first, or check the name.");
}

// What the pointer has to say about a stale base. A channel that stands there already may go on
// to: its pointer is only renewed.
std::string stale_reason(const PromotedRelease& release, const SignatureFile* before,
                         const PromoteOptions& options) {
  if (!options.stale_base.empty()) return options.stale_base;
  std::optional<trust::ChannelPointer> last;
  if (before != nullptr && !before->content.empty()) {
    last = trust::parse_pointer(before->content, before->name);
  }
  if (last && last->statement_digest == release.statement) return last->stale_base_reason;
  const UnixTime now = build_time();
  if (!release.base || !release.base->is_stale(now) || !release.base->stale_reason.empty()) {
    return {};
  }
  throw Error(ErrorCode::gate_refused,
              fmt::format("the base image of {} {}", release.version, release.base->describe(now)),
              "Make a release on a current base image. If this one cannot wait: --stale-base "
              "REASON, which is signed with the pointer.");
}

}  // namespace

SignedDocumentReport trust_revoke(const TrustRevoke& options) {
  FileSystem& fs = posix_file_system();
  const auto files = trust::read_trust_files(fs, options.folder);
  RevocationList list;
  if (const SignatureFile* current = newest(files, trust::kRevocationsSuffix)) {
    list = trust::parse_revocations(current->content, current->name);
  }
  if (list.product.empty()) list.product = options.product;
  for (const auto& path : options.releases) {
    const std::string text = read_statement(fs, path);
    add_release(list, trust::parse_statement(text, path.string()), sha256(as_bytes(text)),
                options.reason);
  }
  for (const std::string& key : options.keys) list.keys.push_back(revoked_key(fs, files, key));
  std::ranges::sort(list.keys);
  list.keys.erase(std::ranges::unique(list.keys).begin(), list.keys.end());
  if (list.product.empty()) {
    throw Error(ErrorCode::usage, "nothing says which product the list is for",
                "Give --product NAME, or --release with a bundle.");
  }
  ++list.sequence;
  list.created = build_time();
  return write_document(fs, options.folder / trust::revocations_name(list.sequence),
                        trust::encode_revocations(list), list.sequence, options.sign);
}

SignedDocumentReport trust_time(const TrustTime& options) {
  const auto clock = parse_time(options.clock);
  if (!clock) {
    throw Error(ErrorCode::usage, fmt::format("'{}' is no time", options.clock),
                "Write it as the site prints it: 2035-01-31T08:00:00Z.");
  }
  trust::TimeStatement statement;
  statement.site = options.site;
  statement.created = build_time();
  statement.clock_from = *clock;
  statement.clock_until = *clock + options.days * vendor::kDay;
  return write_document(posix_file_system(), options.out, trust::encode_time(statement), 0,
                        options.sign);
}

SignedDocumentReport promote(const PromoteOptions& options) {
  FileSystem& fs = posix_file_system();
  check_channel(options.channel);
  check_days(options.expires_days);
  release::check_stale_reason(options.stale_base);
  if (options.bundle.empty() == options.from.empty()) {
    throw Error(ErrorCode::usage, "which release is the channel to stand at?",
                "Name a bundle's folder, or another channel with --from.");
  }
  const auto files = trust::read_trust_files(fs, options.folder);
  const PromotedRelease release =
      options.from.empty() ? read_release(fs, options.bundle) : follow_channel(fs, files, options);

  trust::ChannelPointer pointer;
  pointer.product = release.product;
  pointer.channel = options.channel;
  const std::string stem = options.channel + std::string(trust::kChannelSuffix);
  const SignatureFile* before = newest(files, stem);
  pointer.sequence = number_of(before) + 1;
  pointer.created = build_time();
  pointer.expires = pointer.created + options.expires_days * vendor::kDay;
  pointer.statement_digest = release.statement;
  pointer.release_version = release.version;
  pointer.root_version = number_of(newest(files, "root.json"));
  if (const SignatureFile* list = newest(files, trust::kRevocationsSuffix)) {
    pointer.revocation_digest = sha256(as_bytes(list->content));
  }
  pointer.stale_base_reason = stale_reason(release, before, options);
  auto report = write_document(fs, options.folder / trust::pointer_name(pointer),
                               trust::encode_pointer(pointer), pointer.sequence, options.sign);
  if (!report.signatures.empty() && is_folder(fs, options.bundle)) {
    report.volumes = carry_trust(options.bundle, options.folder);
  }
  return report;
}

std::size_t carry_trust(const std::filesystem::path& bundle, const std::filesystem::path& folder) {
  FileSystem& fs = posix_file_system();
  return pack::add_to_bundle(fs, bundle, vendor::files_to_carry(fs, folder));
}

}  // namespace bundle
