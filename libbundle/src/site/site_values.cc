#include "site/site_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bundle/error.h"
#include "codec/gzip_reader.h"
#include "codec/json_pointer.h"
#include "codec/schema.h"
#include "codec/tar.h"
#include "codec/yaml.h"
#include "oci/helm_chart.h"

namespace bundle::site {
namespace {

using codec::Json;

constexpr std::uint64_t kMaxValuesBytes = 1024 * 1024;
constexpr std::string_view kChartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
constexpr std::size_t kCopyBuffer = 64 * 1024;

// Keeps the files of the chart that say something about values.
class ValuesFinder final : public codec::TarVisitor {
 public:
  void on_member(const codec::TarMember& member, ByteView /*header*/) override {
    current_ = nullptr;
    if (!member.is_file()) return;
    const auto slash = member.path.find('/');
    if (slash == std::string::npos) return;
    const std::string name = member.path.substr(slash + 1);
    if (name == "values.yaml" || name == "values.schema.json") current_ = &files[name];
  }
  void on_body(ByteView bytes) override {
    if (current_ == nullptr) return;
    if (current_->size() + bytes.size() > kMaxValuesBytes) {
      throw Error(ErrorCode::limit, "the chart's values are too long");
    }
    *current_ += as_text(bytes);
  }
  void on_padding(ByteView /*bytes*/) override {}
  void on_tail(ByteView /*bytes*/) override {}

  std::map<std::string, std::string, std::less<>> files;

 private:
  std::string* current_ = nullptr;
};

std::string read_blob(const store::SiteStore& store, const Digest& digest) {
  const Bytes content = read_file(store.fs(), store.blob_path(digest), kMaxValuesBytes);
  if (sha256(content) == digest) return std::string(as_text(content));
  throw Error(ErrorCode::store_corrupt, fmt::format("{} does not match its digest", digest.text()),
              "Import the release again: it repairs the store.");
}

Digest chart_layer(const store::SiteStore& store, const release::Manifest& release) {
  const Json manifest = codec::parse_json(
      read_blob(store, release.chart.artifact.descriptor.digest), "the chart's manifest");
  for (const Json& layer : manifest.at("layers").as_array()) {
    if (layer.string_or("mediaType", "") == kChartLayer) {
      return Digest::parse(layer.at("digest").as_string());
    }
  }
  throw Error(ErrorCode::oci_invalid, "the chart's manifest has no chart in it");
}

std::map<std::string, std::string, std::less<>> chart_files(const store::SiteStore& store,
                                                            const release::Manifest& release) {
  const auto file = store.open_blob(chart_layer(store, release));
  FileSource packed(*file);
  codec::GzipReader plain(packed, oci::kMaxChartUnpacked, release.chart.name);
  ValuesFinder finder;
  codec::TarScanner scanner(finder, codec::TarRules::strict);
  Bytes buffer(kCopyBuffer);
  while (const std::size_t got = plain.read(buffer)) scanner.write(ByteView(buffer).first(got));
  scanner.finish();
  return std::move(finder.files);
}

Json read_yaml(std::string_view text, const std::string& place) {
  Json values = codec::parse_yaml(text, place, ErrorCode::config_invalid).root();
  if (values.is_null()) values = Json::object();
  if (values.is_object()) return values;
  throw Error(ErrorCode::config_invalid, fmt::format("{} is no mapping of values", place),
              "Write values as in the chart's values.yaml.");
}

// As Helm coalesces: mappings are merged, everything else is replaced, null removes.
Json merge(const Json& base, const Json& over) {
  if (!base.is_object() || !over.is_object()) return over;
  Json merged = base;
  for (const auto& [key, value] : over.as_object()) {
    if (value.is_null()) {
      merged.as_object().erase(key);
      continue;
    }
    const Json* below = merged.find(key);
    merged.set(key, below == nullptr ? value : merge(*below, value));
  }
  return merged;
}

// Pointers to the site's values that the chart does not have.
void find_strangers(const Json& chart, const Json& site, const std::string& pointer,
                    std::vector<std::string>& strangers) {
  for (const auto& [key, value] : site.as_object()) {
    const std::string place = codec::pointer_append(pointer, key);
    const Json* own = chart.find(key);
    if (own == nullptr) {
      strangers.push_back(place);
    } else if (own->is_object() && value.is_object() && !own->as_object().empty()) {
      find_strangers(*own, value, place, strangers);
    }
  }
}

}  // namespace

ValuesCheck check_site_values(const store::SiteStore& store, const release::Manifest& release,
                              std::string_view text, const std::string& place) {
  if (text.size() > kMaxSiteValuesBytes) {
    throw Error(ErrorCode::limit, fmt::format("{} is too long", place));
  }
  const Json site = read_yaml(text, place);
  auto files = chart_files(store, release);
  const Json chart = read_yaml(files["values.yaml"], "the chart's values.yaml");
  ValuesCheck check;
  std::vector<std::string> strangers;
  find_strangers(chart, site, "", strangers);
  for (const std::string& stranger : strangers) {
    check.notes.push_back(
        fmt::format("{} sets {}, which the chart of {} does not have: is it "
                    "still needed?",
                    place, stranger, release.version));
  }
  const std::string& schema = files["values.schema.json"];
  if (schema.empty()) return check;
  try {
    const codec::Schema compiled = codec::Schema::parse(schema, "values.schema.json");
    for (const codec::Violation& violation : compiled.check(merge(chart, site))) {
      check.problems.push_back(fmt::format("{}: {} {}", place,
                                           violation.pointer.empty() ? "/" : violation.pointer,
                                           violation.message));
    }
  } catch (const Error& error) {
    check.notes.push_back(
        fmt::format("the values were not checked: the chart's schema is not "
                    "understood: {}",
                    error.message()));
  }
  return check;
}

}  // namespace bundle::site
