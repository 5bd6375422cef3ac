#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "registry/request_limits.h"
#include "registry/site_state.h"
#include "store/channels.h"

namespace bundle::registry {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>bundle-registry</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root{color-scheme:light dark;--line:#8884;--ok:#1a7f37;--bad:#cf222e}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem 1.5rem .35rem 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{font-weight:600;font-size:.85rem;opacity:.7}th:last-child,td:last-child{padding-right:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
dl{display:flex;flex-wrap:wrap;gap:.75rem 2.5rem;margin:1.25rem 0 0}
dt{font-size:.85rem;opacity:.7}dd{margin:0;font-size:1.15rem;font-weight:600}
dd.bad{color:var(--bad)}@media(max-width:60rem){table{display:block;overflow-x:auto}}code{font:13px ui-monospace,monospace;word-break:break-all}
.badge{padding:.1rem .6rem;border-radius:1rem;color:#fff;background:var(--ok)}
.badge.bad{background:var(--bad)}header{display:flex;gap:1rem;align-items:center}
</style></head><body>
)";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

// What a person looks for first; then how sure the bytes are.
std::string summary(const Catalog& catalog, const BlobFiles& files) {
  std::uint64_t bytes = 0;
  for (const auto& release : catalog.releases) bytes = std::max(bytes, release.blob_bytes);
  const std::size_t damaged =
      files.damaged(StorePart::releases).size() + files.damaged(StorePart::pushed).size();
  const auto item = [](std::string_view name, const std::string& value, bool bad = false) {
    return fmt::format("<div><dt>{}</dt><dd{}>{}</dd></div>", name, bad ? " class=bad" : "", value);
  };
  return "<dl>" + item("Active release", escape(catalog.active.value_or("none"))) +
         item("Releases", std::to_string(catalog.releases.size())) +
         item("Repositories", std::to_string(catalog.full_names.size())) +
         item("Largest release", human_bytes(bytes)) +
         item("Hashed again since the start",
              fmt::format("{} files, {} scrubbed", files.verified_count(),
                          human_bytes(files.scrubbed_bytes()))) +
         item("Damaged blobs", damaged == 0 ? "none" : std::to_string(damaged), damaged != 0) +
         "</dl>\n";
}

std::string releases_table(const Catalog& catalog) {
  std::string out =
      "<h2>Releases</h2><table><tr><th>Version</th><th>Product</th><th class=n>Number</th>"
      "<th>Created</th><th>Expires</th><th class=n>Blobs</th><th class=n>Size</th><th></th></tr>\n";
  for (auto at = catalog.releases.rbegin(); at != catalog.releases.rend(); ++at) {
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=n>{}</td><td>{}</td><td>{}</td><td class=n>{}</td>"
        "<td class=n>{}</td><td>{}</td></tr>\n",
        escape(at->version), escape(at->product), at->release_number, escape(at->created),
        escape(at->expires), at->blob_count, human_bytes(at->blob_bytes),
        at->version == catalog.active ? "<span class=badge>active</span>" : "");
  }
  return out + "</table>\n";
}

std::string channels_table(const store::SiteStore& store, const Catalog& catalog) {
  std::string rows;
  for (const store::ChannelInfo& channel : store::read_channels(store)) {
    const bool here = std::ranges::any_of(catalog.releases, [&](const auto& release) {
      return release.version == channel.version && release.product == channel.product;
    });
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=n>{}</td><td>{}</td><td>{}</td></tr>\n",
        escape(channel.channel), escape(channel.product), escape(channel.version), channel.sequence,
        escape(channel.expires), here ? "in the store" : "not in the store");
  }
  if (rows.empty()) return rows;
  return "<h2>Channels</h2><table><tr><th>Channel</th><th>Product</th><th>Stands at</th>"
         "<th class=n>Sequence</th><th>Valid until</th><th>Release</th></tr>\n" +
         rows + "</table>\n";
}

// Bytes that a client pulls for one document: itself, its children and their blobs, each once.
std::uint64_t pull_bytes(const Repository& repository, const DocumentPtr& root,
                         std::set<Digest>& seen) {
  if (!seen.insert(root->descriptor.digest).second) return 0;
  std::uint64_t total = root->descriptor.size;
  for (const auto& blob : root->blobs) {
    const auto known = repository.blobs.find(blob.digest);
    if (known != repository.blobs.end() && seen.insert(blob.digest).second) {
      total += known->second.size;
    }
  }
  for (const auto& child : root->children) {
    const auto known = repository.documents.find(child.digest);
    if (known != repository.documents.end()) total += pull_bytes(repository, known->second, seen);
  }
  return total;
}

std::string images_table(const Catalog& catalog) {
  std::string out =
      "<h2>Images and artifacts</h2><table><tr><th>Name</th><th>Digest</th><th class=n>Size</th>"
      "</tr>\n";
  std::size_t rows = 0;
  for (const std::string& name : catalog.full_names) {
    const RepositoryPtr repository = catalog.find(name, std::nullopt);
    for (const auto& [tag, document] : repository->tags) {
      if (++rows > kMaxStatusRows) return out + "<tr><td colspan=3>and more</td></tr></table>\n";
      std::set<Digest> seen;
      const std::uint64_t bytes = pull_bytes(*repository, document, seen);
      out += fmt::format(
          "<tr><td><code>{}:{}</code></td><td><code>{}</code></td><td class=n>{}</td></tr>\n",
          escape(name), escape(tag), document->descriptor.digest.text(), human_bytes(bytes));
    }
  }
  return out + "</table>\n";
}

std::string pushed_table(const Catalog& catalog, const PushedRepositories& pushed) {
  std::string rows;
  std::size_t count = 0;
  for (const auto& [name, repository] : pushed.all()) {
    const bool hidden = catalog.find(name, std::nullopt) != nullptr;
    for (const auto& [tag, document] : repository->tags) {
      if (++count > kMaxStatusRows) break;
      std::set<Digest> seen;
      rows += fmt::format(
          "<tr><td><code>{}:{}</code>{}</td><td><code>{}</code></td><td class=n>{}</td></tr>\n",
          escape(name), escape(tag), hidden ? " (hidden: a release has this name)" : "",
          document->descriptor.digest.text(), human_bytes(pull_bytes(*repository, document, seen)));
    }
  }
  if (rows.empty()) return rows;
  return "<h2>Pushed at this site</h2><table><tr><th>Name</th><th>Digest</th><th class=n>Size</th>"
         "</tr>\n" +
         rows + "</table>\n";
}

}  // namespace

std::string SiteState::status_html() {
  const auto reasons = reasons_not_ready();
  const auto catalog = live_.current();
  std::string out(kHead);
  out += fmt::format("<header><h1>bundle-registry</h1><span class=\"badge{}\">{}</span></header>\n",
                     reasons.empty() ? "" : " bad", reasons.empty() ? "ready" : "not ready");
  out += summary(*catalog, files_);
  if (!catalog->active && catalog->leading) {
    out += fmt::format("<p>No release is active yet; tags are those of release {}.</p>\n",
                       escape(*catalog->leading));
  }
  if (!reasons.empty()) {
    out += "<h2>What is wrong</h2><ul>\n";
    for (const std::string& reason : reasons) out += "<li>" + escape(reason) + "</li>\n";
    out += "</ul>\n";
  }
  out += releases_table(*catalog);
  out += channels_table(live_.store(), *catalog);
  out += images_table(*catalog);
  out += pushed_table(*catalog, pushed_);
  return out + "</body></html>\n";
}

}  // namespace bundle::registry
