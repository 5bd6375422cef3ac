#include "oci/chart_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "bundle/error.h"
#include "codec/yaml.h"
#include "oci/reference.h"

namespace bundle::oci {
namespace {

using codec::Json;

[[noreturn]] void fail(std::string_view where, std::string_view reason) {
  throw Error(ErrorCode::spec_invalid, fmt::format("{}: {}", where, reason),
              "Correct the chart's Chart.yaml.");
}

// Helm reads these into strings, whatever YAML makes of `appVersion: 17`.
constexpr std::array<std::string_view, 11> kTextKeys{
    "apiVersion",  "appVersion", "condition", "description", "home",   "icon",
    "kubeVersion", "name",       "tags",      "type",        "version"};

std::optional<std::string> scalar_text(const Json& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_int()) return std::to_string(value.as_int());
  if (value.is_double()) return fmt::format("{}", value.as_double());
  if (value.is_bool()) return value.as_bool() ? "true" : "false";
  return std::nullopt;
}

void scalars_to_text(Json& object, bool every_key) {
  if (!object.is_object()) return;
  for (auto& [key, value] : object.as_object()) {
    if (!every_key && std::ranges::find(kTextKeys, key) == kTextKeys.end()) continue;
    if (const auto text = scalar_text(value)) value = Json(*text);
  }
}

// SemVer 2.0.0: MAJOR.MINOR.PATCH[-identifiers][+identifiers].
bool is_identifier_list(std::string_view text, bool numbers_only, bool leading_zeros) {
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    const bool number = std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    const bool plain = std::ranges::all_of(part, [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
    });
    if (part.empty() || !plain || (numbers_only && !number)) return false;
    if (number && !leading_zeros && part.size() > 1 && part.front() == '0') return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_semver(std::string_view text) {
  const std::size_t plus = text.find('+');
  if (plus != std::string_view::npos && !is_identifier_list(text.substr(plus + 1), false, true)) {
    return false;
  }
  text = text.substr(0, plus);
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos && !is_identifier_list(text.substr(dash + 1), false, false)) {
    return false;
  }
  text = text.substr(0, dash);
  return std::ranges::count(text, '.') == 2 && is_identifier_list(text, true, false);
}

std::string authors(const Json& metadata) {
  std::string text;
  const Json* maintainers = metadata.find("maintainers");
  if (maintainers == nullptr || !maintainers->is_array()) return text;
  for (const Json& maintainer : maintainers->as_array()) {
    const Json* name = maintainer.find("name");
    if (name == nullptr || !name->is_string()) continue;
    if (!text.empty()) text += ", ";
    text += name->as_string();
    const Json* email = maintainer.find("email");
    if (email != nullptr && email->is_string()) text += " (" + email->as_string() + ")";
  }
  return text;
}

}  // namespace

std::string chart_tag(std::string version) {
  std::ranges::replace(version, '+', '_');
  return version;
}

ChartMetadata parse_chart_metadata(std::string_view text, const std::string& where) {
  ChartMetadata metadata;
  metadata.json = codec::parse_yaml(text, where, ErrorCode::spec_invalid).root();
  if (!metadata.json.is_object()) fail(where, "it is not a mapping");
  scalars_to_text(metadata.json, false);
  for (auto& [key, value] : metadata.json.as_object()) {
    if (key == "annotations") scalars_to_text(value, true);
    if (key != "dependencies" || !value.is_array()) continue;
    for (Json& dependency : value.as_array()) scalars_to_text(dependency, false);
  }
  for (const std::string_view key : {"apiVersion", "name", "version"}) {
    const Json* value = metadata.json.find(key);
    if (value == nullptr || !value->is_string()) fail(where, fmt::format("'{}' is missing", key));
  }
  metadata.name = metadata.json.at("name").as_string();
  metadata.version = metadata.json.at("version").as_string();
  const bool one_part = metadata.name.find('/') == std::string::npos;
  if (!one_part || !is_valid_repository(metadata.name)) {
    fail(where, fmt::format("the name '{}' cannot be part of an OCI repository",
                            metadata.name.substr(0, 300)));
  }
  if (!is_semver(metadata.version) || !is_valid_tag(chart_tag(metadata.version))) {
    fail(where, fmt::format("the version '{}' is not SemVer 2", metadata.version.substr(0, 300)));
  }
  return metadata;
}

Annotations chart_annotations(const ChartMetadata& metadata, UnixTime created) {
  Annotations annotations;
  const auto set = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) annotations.insert_or_assign(std::string(key), value);
  };
  const auto text = [&](std::string_view key) {
    const Json* value = metadata.json.find(key);
    return value != nullptr && value->is_string() ? value->as_string() : std::string{};
  };
  set(annotation::kDescription, text("description"));
  set("org.opencontainers.image.url", text("home"));
  set("org.opencontainers.image.authors", authors(metadata.json));
  set(annotation::kCreated, format_time(created));
  const Json* sources = metadata.json.find("sources");
  if (sources != nullptr && sources->is_array() && !sources->as_array().empty() &&
      sources->as_array().front().is_string()) {
    set("org.opencontainers.image.source", sources->as_array().front().as_string());
  }
  if (const Json* own = metadata.json.find("annotations"); own != nullptr && own->is_object()) {
    for (const auto& [key, value] : own->as_object()) {
      if (value.is_string()) set(key, value.as_string());
    }
  }
  set(annotation::kTitle, metadata.name);
  set(annotation::kVersion, metadata.version);
  return annotations;
}

}  // namespace bundle::oci
