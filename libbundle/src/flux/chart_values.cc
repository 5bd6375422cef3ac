#include "flux/chart_values.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "codec/yaml.h"
#include "flux/image_references.h"
#include "flux/manifest_text.h"

namespace bundle::flux {
namespace {

using codec::Json;

constexpr std::string_view kValues = "/values.yaml";
constexpr std::string_view kCharts = "/charts/";

Json parse_values(const std::string& text, const std::string& file) {
  const auto documents = parse_manifests(text, file);
  if (documents.empty() || !documents.front().root().is_object()) return Json::object();
  return documents.front().root();
}

// The names on the way from the top chart to the one whose values these are; false for other files.
bool subchart_names(std::string_view path, std::vector<std::string>& names) {
  if (!path.ends_with(kValues)) return false;
  path.remove_suffix(kValues.size());
  const std::size_t top = path.find('/');
  if (top == std::string_view::npos) return true;
  path.remove_prefix(top);
  while (!path.empty()) {
    if (!path.starts_with(kCharts)) return false;
    path.remove_prefix(kCharts.size());
    const std::size_t end = std::min(path.find('/'), path.size());
    names.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return true;
}

Json nested(const std::vector<std::string>& names, Json value) {
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    Json outer = Json::object();
    outer.set(*name, std::move(value));
    value = std::move(outer);
  }
  return value;
}

void set_at(Json& root, const std::vector<std::string>& tokens, Json value) {
  Json* at = &root;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (at->find(tokens[i]) == nullptr) at->set(tokens[i], Json::object());
    at = &at->as_object().find(tokens[i])->second;
  }
  at->set(tokens.back(), std::move(value));
}

// Helm replaces lists as a whole: what lies in one cannot be set alone.
bool lies_in_list(const Json& root, const std::vector<std::string>& tokens) {
  const Json* at = &root;
  for (const std::string& token : tokens) {
    if (at == nullptr || at->is_array()) return true;
    at = at->find(token);
  }
  return false;
}

void collect_repeated(const Json& base, const Json& overlay, const std::string& pointer,
                      std::vector<std::string>& found) {
  if (overlay.is_object() && base.is_object()) {
    for (const auto& [key, value] : overlay.as_object()) {
      if (const Json* below = base.find(key)) {
        collect_repeated(*below, value, codec::pointer_append(pointer, std::string_view(key)),
                         found);
      }
    }
    if (!overlay.as_object().empty()) return;
  }
  if (base == overlay) found.push_back(pointer);
}

bool is_packed_subchart(std::string_view path) {
  const std::size_t name = path.rfind('/');
  return path.ends_with(".tgz") && name != std::string_view::npos &&
         path.substr(0, name + 1).ends_with(kCharts);
}

std::size_t tree_size(const oci::TextTree& tree) {
  std::size_t size = 0;
  for (const auto& [path, text] : tree) size += text.size();
  return size;
}

// One layer of them; false: there are none.
bool unpack_layer(oci::TextTree& chart) {
  oci::TextTree found;
  for (auto file = chart.begin(); file != chart.end();) {
    const auto here = file++;
    if (is_packed_subchart(here->first)) found.insert(chart.extract(here));
  }
  std::size_t size = tree_size(chart);
  for (const auto& [file, packed] : found) {
    MemorySource source(as_bytes(packed));
    const std::string folder = file.substr(0, file.rfind('/') + 1);
    for (auto& [path, text] : oci::read_tar_gz_tree(source, file)) {
      size += text.size();
      if (size > oci::kMaxTreeBytes || chart.size() >= oci::kMaxTreeFiles) {
        throw Error(ErrorCode::limit,
                    fmt::format("{}: the chart with its subcharts is too large", file),
                    "A chart is text: what is large in it belongs into an image.");
      }
      if (chart.emplace(folder + path, std::move(text)).second) continue;
      throw Error(ErrorCode::name_collision,
                  fmt::format("{}: {} is there already", file, folder + path),
                  "The chart has this subchart twice: remove one, packed or unpacked.");
    }
  }
  return !found.empty();
}

}  // namespace

oci::TextTree unpack_subcharts(oci::TextTree chart) {
  for (std::size_t depth = 0; unpack_layer(chart); ++depth) {
    if (depth < kMaxSubchartDepth) continue;
    throw Error(ErrorCode::limit,
                fmt::format("a chart has subcharts in more than {} layers", kMaxSubchartDepth),
                "Give the chart that is used alone: what lies deeper is no subchart of it.");
  }
  return chart;
}

Json chart_default_values(const oci::TextTree& chart) {
  // The chart above has the last word on the values of what it contains: shortest paths last.
  std::vector<std::pair<std::vector<std::string>, Json>> all;
  for (const auto& [path, text] : chart) {
    std::vector<std::string> names;
    if (subchart_names(path, names)) all.emplace_back(std::move(names), parse_values(text, path));
  }
  std::ranges::stable_sort(all, std::ranges::greater{},
                           [](const auto& entry) { return entry.first.size(); });
  Json values = Json::object();
  for (auto& [names, own] : all) values = merge_values(values, nested(names, std::move(own)));
  return values;
}

Json merge_values(const Json& base, const Json& overlay) {
  if (!base.is_object() || !overlay.is_object()) return overlay;
  Json out = base;
  for (const auto& [key, value] : overlay.as_object()) {
    const Json* below = base.find(key);
    if (value.is_null()) {
      out.as_object().erase(key);
    } else {
      out.set(key, below != nullptr ? merge_values(*below, value) : value);
    }
  }
  return out;
}

std::vector<std::string> repeated_values(const Json& base, const Json& overlay) {
  std::vector<std::string> found;
  collect_repeated(base, overlay, "", found);
  return found;
}

Json pinning_values(const Json& values, std::string_view app_version, const ReleaseImages& images) {
  Json out = Json::object();
  for (const ImageReference& reference : find_image_references(values, {})) {
    const auto tokens = codec::pointer_tokens(reference.pointer);
    if (reference.pinned || tokens.empty() || lies_in_list(values, tokens)) continue;
    std::string text = reference.text;
    if (reference.form == ImageReference::Form::parts) {
      const Json& parts = *codec::value_at(values, reference.pointer);
      const Json* tag = parts.find("tag");
      std::string label = tag == nullptr     ? ""
                          : tag->is_string() ? tag->as_string()
                          : tag->is_null()   ? ""
                                             : codec::dump_json(*tag);
      if (label.empty() && !app_version.empty()) {
        label = app_version;
        text += ":" + label;
      }
      const auto digest = images.find(text);
      if (!digest) continue;
      auto place = tokens;
      if (parts.find("digest") != nullptr) {
        place.emplace_back("digest");
        set_at(out, place, digest->text());
      } else {
        place.emplace_back("tag");
        set_at(out, place, label + "@" + digest->text());
      }
    } else if (reference.form == ImageReference::Form::image) {
      if (const auto digest = images.find(text)) {
        set_at(out, tokens, pinned_reference(text, *digest));
      }
    }
  }
  return out;
}

}  // namespace bundle::flux
