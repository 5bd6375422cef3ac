#include "trust/revocation.h"

#include <algorithm>

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"

namespace bundle::trust {
namespace {

constexpr std::string_view kType = "revocations";
constexpr std::size_t kMaxReasonBytes = 512;

bool is_key_id(std::string_view text) {
  return text.size() == 2 * Digest::kSize && from_hex(text).has_value();
}

}  // namespace

std::string encode_revocations(const RevocationList& list) {
  RevocationList sorted = list;
  std::ranges::sort(sorted.releases, {}, &RevokedRelease::statement_digest);
  std::ranges::sort(sorted.keys);
  codec::Json releases = codec::Json::array();
  for (const RevokedRelease& release : sorted.releases) {
    codec::Json entry;
    entry.set("statement_digest", release.statement_digest.text());
    entry.set("release_version", release.version);
    if (!release.reason.empty()) entry.set("reason", release.reason);
    releases.push_back(std::move(entry));
  }
  codec::Json keys = codec::Json::array();
  for (const std::string& key : sorted.keys) keys.push_back(key);
  codec::Json json = new_document(kType);
  json.set("product", list.product);
  json.set("sequence", list.sequence);
  json.set("created", format_time(list.created));
  json.set("releases", std::move(releases));
  json.set("keys", std::move(keys));
  std::string encoded = codec::canonical_json(json);
  parse_revocations(encoded, "revocation list");
  return encoded;
}

RevocationList parse_revocations(std::string_view json, std::string_view what) {
  const codec::Json document = parse_document(json, what, kType, kMaxRevocationBytes);
  const Fields fields(document, std::string(what));
  RevocationList list;
  list.product = fields.name("product");
  list.sequence = fields.number("sequence", 1);
  list.created = fields.time("created");
  for (const Fields& entry : fields.objects("releases", kMaxRevocationEntries)) {
    list.releases.push_back({entry.digest("statement_digest"), entry.name("release_version"),
                             entry.text("reason", kMaxReasonBytes)});
  }
  list.keys = fields.strings("keys", kMaxRevocationEntries);
  if (!std::ranges::all_of(list.keys, is_key_id)) {
    fields.fail("keys", "has an entry that is not 64 hex digits");
  }
  const auto not_ascending = [](const auto& a, const auto& b) { return !(a < b); };
  if (std::ranges::adjacent_find(list.releases, not_ascending, &RevokedRelease::statement_digest) !=
      list.releases.end()) {
    fields.fail("releases", "is not sorted by digest, each once");
  }
  if (std::ranges::adjacent_find(list.keys, not_ascending) != list.keys.end()) {
    fields.fail("keys", "is not sorted, each once");
  }
  return list;
}

}  // namespace bundle::trust
