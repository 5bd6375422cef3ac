#include "release/mirror_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "codec/schema.h"
#include "codec/yaml.h"

namespace bundle::release {
namespace {

using codec::Json;

std::vector<std::string> strings(const Json& list) {
  std::vector<std::string> found;
  for (const Json& item : list.as_array()) found.push_back(item.as_string());
  return found;
}

class Reader {
 public:
  explicit Reader(const codec::YamlDocument& document) : document_(document) {}

  MirrorConfig read() {
    const Json& root = document_.root();
    config_.state = root.at("state").as_string();
    config_.metrics = root.string_or("metrics", "");
    for (const Json& item : root.at("origins").as_array()) {
      config_.origins.push_back({item.at("name").as_string(), item.at("address").as_string(),
                                 item.string_or("ca", ""), item.string_or("credentials", ""),
                                 item.string_or("s3Region", "")});
    }
    for (const Json& item : root.at("stores").as_array()) {
      config_.stores.push_back({item.at("name").as_string(), item.at("path").as_string(),
                                item.string_or("trust", ""), flag(item, "serve")});
    }
    check_unique("origins", config_.origins);
    check_unique("stores", config_.stores);
    read_registries(root);
    read_mirrors(root.at("mirrors").as_array());
    read_limits(root);
    return std::move(config_);
  }

 private:
  [[noreturn]] void fail(const std::string& pointer, const std::string& problem) const {
    throw Error(ErrorCode::config_invalid,
                fmt::format("{}: {} {}", document_.where(pointer), pointer, problem),
                "Correct the named line; docs/mirror.md shows a mirror.yaml.");
  }

  template <typename Items>
  void check_unique(const std::string& list, const Items& items) const {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!names.insert(items[i].name).second) {
        fail(fmt::format("/{}/{}/name", list, i), "is there twice");
      }
    }
  }

  template <typename Items>
  static bool has(const Items& items, const std::string& name) {
    return std::ranges::any_of(items, [&](const auto& item) { return item.name == name; });
  }

  static bool flag(const Json& item, std::string_view key) {
    const Json* value = item.find(key);
    return value != nullptr && value->as_bool();
  }

  void read_registries(const Json& root) {
    const Json* list = root.find("registries");
    if (list == nullptr) return;
    for (const Json& item : list->as_array()) {
      config_.registries.push_back(
          {item.at("name").as_string(), item.at("address").as_string(), item.string_or("ca", ""),
           item.string_or("authfile", ""), flag(item, "insecure"),
           item.string_or("names", "full") == "repository", flag(item, "singlePlatform")});
      if (has(config_.stores, config_.registries.back().name)) {
        fail(fmt::format("/registries/{}/name", config_.registries.size() - 1),
             "is the name of a store");
      }
    }
    check_unique("registries", config_.registries);
  }

  void read_mirrors(const Json::Array& mirrors) {
    for (std::size_t i = 0; i < mirrors.size(); ++i) {
      const std::string pointer = fmt::format("/mirrors/{}", i);
      Mirror mirror;
      mirror.origin = mirrors[i].at("origin").as_string();
      mirror.stores = strings(mirrors[i].at("stores"));
      mirror.channels = strings(mirrors[i].at("channels"));
      if (!has(config_.origins, mirror.origin)) fail(pointer + "/origin", "names no origin");
      for (std::size_t k = 0; k < mirror.stores.size(); ++k) {
        if (has(config_.stores, mirror.stores[k])) continue;
        fail(fmt::format("{}/stores/{}", pointer, k), "names no store");
      }
      if (const Json* registries = mirrors[i].find("registries")) {
        mirror.registries = strings(*registries);
      }
      for (std::size_t k = 0; k < mirror.registries.size(); ++k) {
        if (has(config_.registries, mirror.registries[k])) continue;
        fail(fmt::format("{}/registries/{}", pointer, k), "names no registry");
      }
      if (const Json* keep = mirrors[i].find("keep")) mirror.keep = keep->as_size();
      if (const Json* versions = mirrors[i].find("versions")) {
        read_versions(strings(*versions), pointer, mirror);
      }
      config_.mirrors.push_back(std::move(mirror));
    }
  }

  void read_versions(const std::vector<std::string>& texts, const std::string& pointer,
                     Mirror& mirror) const {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto pattern = VersionPattern::parse(texts[i]);
      if (!pattern) {
        fail(fmt::format("{}/versions/{}", pointer, i), "is not like 1.3.x or \">=1.2.0 <2.0.0\"");
      }
      mirror.versions.push_back(*pattern);
    }
  }

  void read_limits(const Json& root) {
    if (const Json* limits = root.find("limits")) {
      if (const Json* rate = limits->find("bytesPerSecond")) {
        config_.bytes_per_second = rate->as_size();
      }
      if (const Json* connections = limits->find("connections")) {
        config_.connections = static_cast<unsigned>(connections->as_int());
      }
    }
    if (const Json* windows = root.find("windows")) {
      for (const Json& window : windows->as_array()) {
        config_.windows.push_back(read_window(window));
      }
    }
    if (const Json* hooks = root.find("hooks")) {
      config_.hooks = hooks->at("synced").as_string();
      if (const Json* seconds = hooks->find("timeLimitSeconds")) {
        config_.hook_time_limit = std::chrono::seconds(seconds->as_int());
      }
    }
  }

  const codec::YamlDocument& document_;
  MirrorConfig config_;
};

}  // namespace

const MirrorOrigin& MirrorConfig::origin(std::string_view name) const {
  return *std::ranges::find(origins, name, &MirrorOrigin::name);
}

const MirrorStore& MirrorConfig::store(std::string_view name) const {
  return *std::ranges::find(stores, name, &MirrorStore::name);
}

const MirrorRegistry& MirrorConfig::registry(std::string_view name) const {
  return *std::ranges::find(registries, name, &MirrorRegistry::name);
}

MirrorConfig parse_mirror_config(std::string_view text, const std::string& file) {
  const codec::YamlDocument document =
      codec::parse_yaml(text, file, ErrorCode::config_invalid, {kMaxMirrorConfigBytes});
  const auto violations = codec::Schema::builtin("mirror").check(document.root());
  if (!violations.empty()) {
    const codec::Violation& first = violations.front();
    throw Error(
        ErrorCode::config_invalid,
        fmt::format("{}: {} {}", document.where(first.pointer), first.pointer, first.message),
        "Correct the named line; docs/mirror.md shows a mirror.yaml.");
  }
  return Reader(document).read();
}

}  // namespace bundle::release
