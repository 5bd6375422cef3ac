#include "bundle/json_report.h"
#include "codec/json.h"

namespace bundle {
namespace {

using codec::Json;

constexpr int kIndent = 2;

Json strings(const std::vector<std::string>& items) {
  Json out = Json::array();
  for (const std::string& item : items) out.push_back(item);
  return out;
}

std::string print(const Json& value) {
  return codec::dump_json(value, kIndent);
}

Json root_json(const TrustRootReport& r) {
  Json keys = Json::array();
  for (const TrustKeyReport& key : r.keys) {
    Json item;
    item.set("id", key.id).set("minisign_id", key.minisign_id).set("roles", strings(key.roles));
    keys.push_back(std::move(item));
  }
  Json roles = Json::array();
  for (const TrustRoleReport& role : r.roles) {
    Json item;
    item.set("name", role.name).set("threshold", role.threshold).set("keys", strings(role.keys));
    roles.push_back(std::move(item));
  }
  Json out;
  out.set("version", r.version).set("fingerprint", r.fingerprint).set("expires", r.expires);
  out.set("keys", std::move(keys)).set("roles", std::move(roles));
  out.set("missing_own", r.missing_own).set("missing_previous", r.missing_previous);
  return out;
}

Json channels_json(const std::vector<SiteChannel>& channels) {
  Json out = Json::array();
  for (const SiteChannel& channel : channels) {
    Json item;
    item.set("product", channel.product).set("channel", channel.channel);
    item.set("sequence", channel.sequence).set("version", channel.version);
    item.set("created", channel.created).set("expires", channel.expires);
    item.set("fresh", channel.fresh).set("in_store", channel.in_store);
    out.push_back(std::move(item));
  }
  return out;
}

Json revocations_json(const std::vector<SiteRevocations>& lists) {
  Json out = Json::array();
  for (const SiteRevocations& list : lists) {
    Json releases = Json::array();
    for (const auto& [version, reason] : list.releases) {
      Json release;
      release.set("version", version).set("reason", reason);
      releases.push_back(std::move(release));
    }
    Json item;
    item.set("product", list.product).set("sequence", list.sequence).set("created", list.created);
    item.set("releases", std::move(releases)).set("keys", strings(list.keys));
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

std::string to_json(const TrustRootReport& report) {
  return print(root_json(report));
}

std::string to_json(const TrustSignReport& r) {
  Json out;
  out.set("file", r.file.string()).set("comment", r.comment).set("root", r.root);
  out.set("missing_own", r.missing_own).set("missing_previous", r.missing_previous);
  return print(out);
}

std::string to_json(const TrustMergeReport& r) {
  Json out;
  out.set("files", strings(r.files));
  return print(out);
}

std::string to_json(const SignedDocumentReport& r) {
  Json out;
  out.set("file", r.file.string()).set("number", r.number);
  out.set("signatures", strings(r.signatures)).set("volumes", std::uint64_t{r.volumes});
  return print(out);
}

std::string to_json(const SiteTrust& r) {
  Json highest = Json::array();
  for (const auto& [product, mark] : r.highest) {
    Json item;
    item.set("product", product).set("version", mark.first).set("release_number", mark.second);
    highest.push_back(std::move(item));
  }
  Json out;
  out.set("root", root_json(r.root)).set("site_id", r.site_id).set("clock", r.clock);
  out.set("effective_time", r.effective_time).set("latest_signed", r.latest_signed);
  out.set("clock_behind", r.clock_behind).set("clock_corrected", r.clock_corrected);
  out.set("correction_until", r.correction_until).set("highest", std::move(highest));
  out.set("channels", channels_json(r.channels));
  out.set("revocations", revocations_json(r.revocations));
  return print(out);
}

std::string to_json(const TrustUpdate& r) {
  Json out;
  out.set("root_before", r.root_before).set("root_after", r.root_after);
  out.set("learned", strings(r.learned));
  return print(out);
}

}  // namespace bundle
