#include "registry/site_state.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/json.h"

namespace bundle::registry {
namespace {

constexpr std::chrono::seconds kCheckInterval{2};
// An operator needs a few names to act; a lost store would list thousands.
constexpr std::size_t kMaxReasons = 20;

bool is_offered(const Catalog& catalog, const Digest& digest) {
  for (const auto& [name, repository] : catalog.repositories) {
    if (repository->blobs.contains(digest)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> SiteState::check() const {
  const auto catalog = live_.current();
  std::vector<std::string> reasons;
  if (const std::string trouble = live_.trouble(); !trouble.empty()) {
    reasons.push_back("the store cannot be read: " + trouble);
  }
  if (!catalog->leading) reasons.push_back("no release has been imported");
  for (const std::string& problem : catalog->problems) reasons.push_back(problem);
  for (const Digest& digest : files_.damaged(StorePart::releases)) {
    if (!is_offered(*catalog, digest)) continue;  // removed with its release
    reasons.push_back(fmt::format("blob {} is damaged", digest.text()));
  }
  for (const std::string& problem : pushed_.problems()) reasons.push_back(problem);
  for (const auto& [name, repository] : pushed_.all()) {
    for (const Digest& digest : files_.damaged(StorePart::pushed)) {
      if (!repository->blobs.contains(digest)) continue;
      reasons.push_back(fmt::format("blob {} of {} is damaged", digest.text(), name));
    }
  }
  for (const auto& blob : catalog->leading_blobs) {
    if (reasons.size() >= kMaxReasons) break;
    try {
      if (!live_.store().has_blob(blob)) {
        reasons.push_back(fmt::format("blob {} of release {} is missing or has another size",
                                      blob.digest.text(), *catalog->leading));
      }
    } catch (const Error& error) {
      reasons.push_back(error.message());
    }
  }
  if (reasons.size() > kMaxReasons) reasons.resize(kMaxReasons);
  return reasons;
}

std::vector<std::string> SiteState::reasons_not_ready() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  const std::uint64_t generation = live_.generation();
  if (checked_generation_ != generation || now - checked_at_ >= kCheckInterval) {
    reasons_ = check();
    checked_at_ = now;
    checked_generation_ = generation;
  }
  return reasons_;
}

std::string SiteState::ready_json() {
  const auto reasons = reasons_not_ready();
  const auto catalog = live_.current();
  codec::Json state = codec::Json::object();
  state.set("ready", reasons.empty());
  if (catalog->leading) {
    state.set("release", *catalog->leading);
    state.set("active", catalog->active.has_value());
  }
  if (!reasons.empty()) {
    codec::Json list = codec::Json::array();
    for (const std::string& reason : reasons) list.push_back(reason);
    state.set("reasons", std::move(list));
  }
  return codec::dump_json(state) + "\n";
}

std::string SiteState::metrics_text() {
  const auto catalog = live_.current();
  std::uint64_t bytes = 0;
  for (const auto& blob : catalog->leading_blobs) bytes += blob.size;
  std::string out = metrics_.text();
  out += metric_text("bundle_registry_ready", "gauge", "1 when the release can be pulled whole.",
                     reasons_not_ready().empty() ? 1 : 0);
  out += metric_text("bundle_registry_catalogs_total", "counter",
                     "Catalogs built: the first one and one per change of the store.",
                     live_.generation());
  out += metric_text("bundle_registry_releases", "gauge", "Releases in the store.",
                     catalog->releases.size());
  out += metric_text("bundle_registry_repositories", "gauge", "Repositories served.",
                     catalog->full_names.size());
  out +=
      metric_text("bundle_registry_release_bytes", "gauge", "Bytes of the release served.", bytes);
  out += metric_text("bundle_registry_pushed_repositories", "gauge", "Repositories pushed here.",
                     pushed_.all().size());
  out += metric_text("bundle_registry_blob_verifications_total", "counter",
                     "Blob files hashed because they were not the known ones.",
                     files_.verified_count());
  out += metric_text("bundle_registry_scrubbed_bytes_total", "counter",
                     "Bytes of blob files that the scrub has read.", files_.scrubbed_bytes());
  if (catalog->leading) {
    // A version is SemVer: nothing in it needs escaping in a label.
    out += fmt::format(
        "# HELP bundle_registry_release_info The release whose tags are served.\n"
        "# TYPE bundle_registry_release_info gauge\n"
        "bundle_registry_release_info{{version=\"{}\",active=\"{}\"}} 1\n",
        *catalog->leading, catalog->active.has_value());
  }
  return out;
}

}  // namespace bundle::registry
