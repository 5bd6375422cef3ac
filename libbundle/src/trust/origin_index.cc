#include "trust/origin_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "codec/json.h"
#include "trust/document.h"
#include "trust/limits.h"
#include "trust/news.h"

namespace bundle::trust {
namespace {

using codec::Json;

constexpr std::string_view kType = "origin";
constexpr std::string_view kVolumeSuffix = ".bundle";
constexpr std::size_t kIdDigits = 32;

template <typename Items, typename Convert>
Json list(const Items& items, Convert convert) {
  Json out = Json::array();
  for (const auto& item : items) out.push_back(convert(item));
  return out;
}

Json bundle_json(const OriginBundle& bundle) {
  Json json;
  json.set("id", bundle.id).set("pack_size", bundle.pack_size);
  json.set("bases", list(bundle.bases, [](const CarrierBase& base) {
             Json entry;
             entry.set("digest", base.digest.text()).set("name", base.name);
             return entry;
           }));
  json.set("volumes", list(bundle.volumes, [](const OriginVolume& volume) {
             Json entry;
             entry.set("name", volume.name).set("size", volume.size);
             return entry;
           }));
  return json;
}

OriginBundle read_bundle(const Fields& fields) {
  OriginBundle bundle;
  bundle.id = fields.name("id");
  const auto id = from_hex(bundle.id);
  if (!id || bundle.id.size() != kIdDigits) fields.fail("id", "is not 32 hex digits");
  bundle.pack_size = fields.number("pack_size", 0);
  for (const Fields& base : fields.objects("bases", kMaxCarrierBases)) {
    bundle.bases.push_back({base.name("name"), base.digest("digest")});
  }
  for (const Fields& volume : fields.objects("volumes", kMaxOriginVolumes)) {
    bundle.volumes.push_back({volume.name("name"), volume.number("size", 1)});
    if (!bundle.volumes.back().name.ends_with(kVolumeSuffix)) {
      volume.fail("name", "is not the name of a volume");
    }
  }
  if (bundle.volumes.empty()) fields.fail("volumes", "is empty");
  return bundle;
}

}  // namespace

std::string origin_channel_path(std::string_view channel) {
  return fmt::format("channels/{}.news", channel);
}

std::string origin_bundle_path(std::string_view version, std::string_view bundle_id) {
  return fmt::format("releases/{}/{}", version, bundle_id);
}

std::string origin_document_path(std::string_view version, std::string_view document) {
  return fmt::format("releases/{}/{}", version, document);
}

bool is_release_document(std::string_view name) {
  return name == "statement.json" || name == "manifest.json" || name == "blobs.list" ||
         is_signature_of(name, "statement.json");
}

std::string encode_origin_index(const OriginIndex& index) {
  Json json = new_document(kType);
  json.set("product", index.product);
  json.set("channels", list(index.channels, [](const std::string& name) { return Json(name); }));
  json.set("releases", list(index.releases, [](const OriginRelease& release) {
             Json statement;
             statement.set("digest", release.statement.text());
             Json entry;
             entry.set("release_version", release.version).set("release_number", release.number);
             entry.set("statement", std::move(statement));
             entry.set("bundles", list(release.bundles, bundle_json));
             if (!release.documents.empty()) {
               entry.set("documents", list(release.documents,
                                           [](const std::string& name) { return Json(name); }));
             }
             return entry;
           }));
  std::string encoded = codec::canonical_json(json);
  parse_origin_index(encoded, kOriginIndexName);
  return encoded;
}

OriginIndex parse_origin_index(std::string_view json, std::string_view what) {
  const Json document = parse_document(json, what, kType, kMaxOriginBytes);
  const Fields fields(document, std::string(what));
  OriginIndex index;
  index.product = fields.name("product");
  index.channels = fields.strings("channels", kMaxOriginChannels);
  for (const std::string& channel : index.channels) {
    if (!is_name(channel)) fields.fail("channels", "has an entry that is no name");
  }
  std::set<std::string_view> versions;
  for (const Fields& entry : fields.objects("releases", kMaxOriginReleases)) {
    OriginRelease release;
    release.version = entry.name("release_version");
    release.number = entry.number("release_number", 1);
    release.statement = entry.object("statement").digest("digest");
    for (const Fields& bundle : entry.objects("bundles", kMaxOriginBundles)) {
      release.bundles.push_back(read_bundle(bundle));
    }
    release.documents = entry.strings("documents", kMaxOriginDocuments);
    if (!std::ranges::all_of(release.documents, is_release_document)) {
      entry.fail("documents", "has a name that no document of a release has");
    }
    index.releases.push_back(std::move(release));
  }
  for (const OriginRelease& release : index.releases) {
    if (!versions.insert(release.version).second) fields.fail("releases", "has a version twice");
  }
  std::ranges::stable_sort(index.releases, {}, &OriginRelease::number);
  return index;
}

}  // namespace bundle::trust
