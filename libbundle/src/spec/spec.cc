#include "spec/spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "codec/yaml.h"
#include "io/safe_path.h"
#include "oci/reference.h"
#include "release/naming.h"
#include "release/version.h"
#include "spec/checked_yaml.h"
#include "spec/compatibility_file.h"

namespace bundle::spec {
namespace {

using codec::Json;
using codec::pointer_append;

constexpr std::string_view kDefaultPlatform = "linux/amd64";
constexpr std::uint32_t kDefaultMode = 0644;

// A wrong path is told apart from a wrong value and from a missing file: each has its exit code.
struct Findings {
  std::vector<std::string> invalid;
  std::vector<std::string> collisions;
  std::vector<std::string> unsafe;
  std::vector<std::string> missing;

  void throw_if_any() const {
    throw_list(ErrorCode::spec_invalid, invalid,
               "Correct the named lines; docs/release-spec.md describes every key.");
    throw_list(ErrorCode::name_collision, collisions, "Give each of them a name of its own.");
    throw_list(
        ErrorCode::unsafe_path, unsafe,
        "Paths start at the folder of the release file and stay in it, without '..', leading "
        "'/' and symbolic links. Move or copy the files there.");
    throw_list(ErrorCode::not_found, missing,
               "Build or copy the missing parts, or correct the paths; they start at the folder of "
               "the release file.");
  }

 private:
  static void throw_list(ErrorCode code, const std::vector<std::string>& messages,
                         std::string hint) {
    if (messages.empty()) return;
    throw Error(code, fmt::format("{}", fmt::join(messages, "\n")), std::move(hint));
  }
};

std::string_view without_trailing_slash(std::string_view path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// As the schema's valuesProfile.
bool is_profile_name(std::string_view text) {
  return text.size() <= 64 && !text.empty() && !text.starts_with('-') && !text.ends_with('-') &&
         text.find("--") == std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

// The path of a local source: "oci:DIR[:TAG][@sha256:HEX]", the archives alike.
std::string_view local_source_path(std::string_view source) {
  source.remove_prefix(source.find(':') + 1);
  const std::size_t at = source.rfind('@');
  if (at != std::string_view::npos && Digest::is_valid(source.substr(at + 1))) {
    source = source.substr(0, at);
  }
  return source.substr(0, source.find(':'));
}

// Turns YAML that the schema has accepted into the model; collects all that is wrong on the way.
class SpecReader {
 public:
  SpecReader(FileSystem& fs, const Path& file, const codec::YamlDocument& document)
      : fs_(fs), document_(document) {
    spec_.file = file;
  }

  ReleaseSpec read() {
    const Json& root = document_.root();
    spec_.product = root.at("product").as_string();
    read_version(root);
    spec_.upgrade_from = read_upgrade_from(root);
    spec_.platforms = read_platforms(root, {oci::Platform::parse(kDefaultPlatform)});
    read_expiry(root);
    const Json& os = root.at("os");
    spec_.os_base = os.at("base").as_string();
    read_base_policy_of(os);
    spec_.os_artifacts = read_files(os, "/os", "artifacts");
    if (const Json* packages = os.find("packages")) {
      auto path = read_path("/os/packages", packages->as_string(), FileKind::regular);
      if (path) spec_.os_packages = *std::move(path);
    }
    const Json& k8s = root.at("k8s");
    spec_.k8s_distribution = k8s.at("distribution").as_string();
    spec_.k8s_version = k8s.at("version").as_string();
    if (!release::K3sVersion::parse(spec_.k8s_version)) {
      invalid("/k8s/version",
              fmt::format("'{}' is not a k3s version like v1.31.6+k3s1", spec_.k8s_version));
    }
    spec_.k8s_artifacts = read_files(k8s, "/k8s", "artifacts");
    read_app(root.at("app"));
    read_images(root.at("images"));
    spec_.files = read_files(root, "", "files");
    read_flux(root);
    read_closure(root);
    read_signatures(root);
    read_gates(root);
    findings_.throw_if_any();
    return std::move(spec_);
  }

 private:
  std::string at(std::string_view pointer, std::string_view message) const {
    return fmt::format("{}: {}", document_.where(pointer), message);
  }
  void invalid(std::string_view pointer, std::string_view message) {
    findings_.invalid.push_back(at(pointer, message));
  }

  void read_version(const Json& root) {
    spec_.version = root.at("releaseVersion").as_string();
    const auto version = release::SemVer::parse(spec_.version);
    if (!version) {
      return invalid("/releaseVersion",
                     fmt::format("'{}' is not a SemVer 2 version like 1.4.0", spec_.version));
    }
    if (const Json* number = root.find("releaseNumber")) {
      spec_.release_number = number->as_size();
    } else if (const auto derived = release::default_release_number(*version)) {
      spec_.release_number = *derived;
    } else {
      invalid("/releaseVersion", fmt::format("no release number follows from '{}': add the key "
                                             "releaseNumber",
                                             spec_.version));
    }
  }

  std::vector<std::string> read_upgrade_from(const Json& root) {
    std::vector<std::string> out;
    const Json* patterns = root.find("upgradeFrom");
    if (patterns == nullptr) return out;
    for (const Json& item : patterns->as_array()) {
      const std::string pointer = pointer_append("/upgradeFrom", out.size());
      out.push_back(item.as_string());
      if (!release::VersionPattern::parse(out.back())) {
        invalid(pointer, fmt::format("'{}' is no version (1.3.2), pattern (1.3.x) or range "
                                     "(>=1.2.4 <1.4.0)",
                                     out.back()));
      }
    }
    return out;
  }

  void read_gates(const Json& root) {
    const Json* gates = root.find("gates");
    if (gates == nullptr) return;
    std::optional<codec::YamlDocument> matrix;
    Json rules = *gates;
    if (const Json* file = gates->find("compatibilityPath")) {
      if (gates->find("compatibility") != nullptr) {
        invalid("/gates/compatibilityPath", "give the rows here or in a file, not both");
      }
      const auto path = read_path("/gates/compatibilityPath", file->as_string(), FileKind::regular);
      if (!path) return;
      matrix = load_compatibility(fs_, *path, spec_.product);
      rules.set("compatibility", matrix->root().at("rows"));
    }
    constexpr std::string_view kRows = "/compatibility";
    spec_.gates = release::read_gate_rules(
        rules, spec_.version, spec_.k8s_version,
        [&](const std::string& pointer, const std::string& message) {
          if (!matrix || !pointer.starts_with(kRows)) return invalid("/gates" + pointer, message);
          const std::string row = "/rows" + pointer.substr(kRows.size());
          findings_.invalid.push_back(fmt::format("{}: {}", matrix->where(row), message));
        });
  }

  void read_base_policy_of(const Json& os) {
    const Json* policy = os.find("basePolicy");
    if (policy == nullptr) return;
    spec_.base_policy = release::read_base_policy(*policy);
    if (!spec_.base_policy) invalid("/os/basePolicy/built", "there is no such day or time");
  }

  static std::vector<oci::Platform> read_platforms(const Json& owner,
                                                   std::vector<oci::Platform> otherwise) {
    const Json* list = owner.find("platforms");
    if (list == nullptr) return otherwise;
    std::vector<oci::Platform> out;
    for (const Json& item : list->as_array()) out.push_back(oci::Platform::parse(item.as_string()));
    return out;
  }

  void read_expiry(const Json& root) {
    const Json* expires = root.find("expires");
    const Json* days = root.find("expiresDays");
    if (expires != nullptr && days != nullptr) {
      invalid("/expiresDays", "give either expires or expiresDays, not both");
    }
    if (days != nullptr) spec_.expires_days = static_cast<std::uint32_t>(days->as_size());
    if (expires == nullptr) return;
    spec_.expires = parse_time(expires->as_string());
    if (!spec_.expires) invalid("/expires", "there is no such day or time");
  }

  // Checks a path below the spec's folder and returns where it leads; nothing after a finding.
  std::optional<Path> read_path(std::string_view pointer, std::string_view text, FileKind wanted) {
    if (!is_safe_relative_path(text)) {
      findings_.unsafe.push_back(at(pointer, fmt::format("'{}' leaves the folder", text)));
      return std::nullopt;
    }
    Path path = spec_.folder();
    std::optional<FileStatus> status;
    for (const Path& part : Path(text)) {
      path /= part;
      status = fs_.status(path);
      if (!status) {
        findings_.missing.push_back(at(pointer, fmt::format("{} does not exist", path.string())));
        return std::nullopt;
      }
      if (status->kind == FileKind::symlink) {
        findings_.unsafe.push_back(at(pointer, path.string() + " is a symbolic link"));
        return std::nullopt;
      }
    }
    const bool fits = status->kind == FileKind::regular || status->kind == wanted;
    if (!fits) {
      invalid(pointer, path.string() + " is not a plain file");
      return std::nullopt;
    }
    return path;
  }

  std::vector<FileSpec> read_files(const Json& owner, std::string_view parent, const char* key) {
    std::vector<FileSpec> out;
    const Json* list = owner.find(key);
    if (list == nullptr) return out;
    const std::string base = pointer_append(parent, std::string_view(key));
    for (std::size_t i = 0; i < list->as_array().size(); ++i) {
      out.push_back(read_file_entry(list->as_array()[i], pointer_append(base, i)));
    }
    return out;
  }

  FileSpec read_file_entry(const Json& entry, const std::string& pointer) {
    FileSpec file;
    file.name = entry.at("name").as_string();
    claim(release::file_repository(spec_.product, file.name), pointer + "/name", file.name);
    const std::string mode = entry.string_or("mode", fmt::format("{:04o}", kDefaultMode));
    std::from_chars(mode.data(), mode.data() + mode.size(), file.mode, 8);
    if (auto path = read_path(pointer + "/path", entry.at("path").as_string(), FileKind::regular)) {
      file.path = *std::move(path);
    }
    return file;
  }

  void read_app(const Json& app) {
    spec_.chart_path = app.at("chartPath").as_string();
    spec_.values_profile = app.at("valuesProfile").as_string();
    const std::string_view path = without_trailing_slash(spec_.chart_path);
    if (auto chart = read_path("/app/chartPath", path, FileKind::directory)) {
      spec_.chart = *std::move(chart);
    }
  }

  void read_flux(const Json& root) {
    const Json* flux = root.find("flux");
    if (flux == nullptr) return;
    FluxSpec out;
    if (auto folder = read_folder("/flux/path", flux->at("path").as_string())) {
      out.folder = *std::move(folder);
      read_profiles(out);
    }
    if (const Json* install = flux->find("install")) {
      auto path = read_path("/flux/install", install->as_string(), FileKind::regular);
      if (path) out.install = *std::move(path);
    }
    if (const Json* values = flux->find("values")) {
      const std::string& text = values->as_string();
      if (auto folder = read_folder("/flux/values", text)) {
        out.values = *std::move(folder);
        for (const std::string& profile : out.profiles) {
          read_path("/flux/values",
                    fmt::format("{}/{}.yaml", without_trailing_slash(text), profile),
                    FileKind::regular);
        }
      }
    }
    spec_.flux = std::move(out);
  }

  static std::vector<std::string> read_texts(const Json& owner, std::string_view key) {
    std::vector<std::string> out;
    if (const Json* list = owner.find(key)) {
      for (const Json& item : list->as_array()) out.push_back(item.as_string());
    }
    return out;
  }

  void read_closure(const Json& root) {
    const Json* closure = root.find("closure");
    if (closure == nullptr) return;
    spec_.image_patterns = {read_texts(*closure, "environment"), read_texts(*closure, "fields")};
    if (const Json* exceptions = closure->find("exceptions")) {
      for (const Json& item : exceptions->as_array()) {
        spec_.closure_exceptions.push_back({item.at("image").as_string(),
                                            item.string_or("file", ""),
                                            item.at("reason").as_string()});
      }
    }
  }

  void read_profiles(FluxSpec& flux) {
    const Path folder = flux.folder / "profiles";
    const auto status = fs_.status(folder);
    if (!status || status->kind != FileKind::directory) {
      return invalid("/flux/path", folder.string() +
                                       " is no folder: it holds one folder for each "
                                       "profile of values");
    }
    for (const std::string& name : fs_.list(folder)) {
      if (name.starts_with('.') || fs_.status(folder / name)->kind != FileKind::directory) continue;
      if (!is_profile_name(name)) {
        invalid("/flux/path", fmt::format("{} is no profile: lower-case letters, digits and single "
                                          "dashes",
                                          (folder / name).string()));
      }
      flux.profiles.push_back(name);
    }
    if (std::ranges::find(flux.profiles, spec_.values_profile) == flux.profiles.end()) {
      invalid("/app/valuesProfile",
              fmt::format("there is no {}", (folder / spec_.values_profile).string()));
    }
  }

  std::optional<Path> read_folder(const std::string& pointer, std::string_view text) {
    auto path = read_path(pointer, without_trailing_slash(text), FileKind::directory);
    if (path && fs_.status(*path)->kind != FileKind::directory) {
      invalid(pointer, path->string() + " is not a folder");
      return std::nullopt;
    }
    return path;
  }

  // The folder is made by a later step of the build: only where it may lie is checked.
  void read_signatures(const Json& root) {
    const Json* folder = root.find("signatures");
    if (folder == nullptr) return;
    const std::string_view path = without_trailing_slash(folder->as_string());
    if (!is_safe_relative_path(path)) {
      findings_.unsafe.push_back(at("/signatures", fmt::format("'{}' leaves the folder", path)));
      return;
    }
    spec_.signatures = spec_.folder() / Path(path);
    const auto status = fs_.status(spec_.signatures);
    if (!status) return;
    if (auto found = read_path("/signatures", path, FileKind::directory);
        found && status->kind != FileKind::directory) {
      invalid("/signatures", found->string() + " is not a folder");
    }
  }

  void read_images(const Json& images) {
    for (std::size_t i = 0; i < images.as_array().size(); ++i) {
      const Json& entry = images.as_array()[i];
      const std::string pointer = pointer_append("/images", i);
      ImageSpec image;
      image.name = entry.at("name").as_string();
      image.source = entry.at("source").as_string();
      image.platforms = read_platforms(entry, spec_.platforms);
      check_image_name(image.name, pointer + "/name");
      check_source(image.source, pointer + "/source");
      spec_.images.push_back(std::move(image));
    }
  }

  void check_image_name(const std::string& text, const std::string& pointer) {
    try {
      const oci::ImageName name = oci::ImageName::parse(text);
      if (name.tag.empty() && !name.digest) {
        return invalid(pointer, fmt::format("'{}' has neither a tag nor a digest", text));
      }
    } catch (const Error& error) {
      return invalid(pointer, error.message());
    }
    claim(text, pointer, text);
  }

  void check_source(const std::string& source, const std::string& pointer) {
    if (source.starts_with("docker:")) {
      if (!source.starts_with("docker://")) {
        invalid(pointer, fmt::format("'{}': a registry is written docker://HOST/NAME", source));
      }
      return;
    }
    const std::string_view path = local_source_path(source);
    if (path.empty()) return invalid(pointer, fmt::format("'{}' names no path", source));
    if (!fs_.status(spec_.folder() / Path(path))) {
      findings_.missing.push_back(
          at(pointer, fmt::format("{} does not exist", (spec_.folder() / Path(path)).string())));
    }
  }

  // One name space for images and one for files: their keys cannot meet, an image has a registry.
  void claim(const std::string& key, const std::string& pointer, const std::string& name) {
    const auto [earlier, is_new] = names_.emplace(key, pointer);
    if (is_new) return;
    findings_.collisions.push_back(
        at(pointer, fmt::format("'{}' and the entry of line {} would both be called {}", name,
                                document_.position(earlier->second).line, key)));
  }

  FileSystem& fs_;
  const codec::YamlDocument& document_;
  ReleaseSpec spec_;
  Findings findings_;
  std::map<std::string, std::string> names_;  // name in the registry -> pointer
};

}  // namespace

ReleaseSpec parse_spec(FileSystem& fs, std::string_view text, const Path& release_yaml) {
  const codec::YamlDocument document =
      parse_checked_yaml(text, release_yaml.string(), "release-spec", kMaxSpecBytes);
  return SpecReader(fs, release_yaml, document).read();
}

ReleaseSpec load_spec(FileSystem& fs, const Path& release_yaml) {
  return parse_spec(fs, read_text_file(fs, release_yaml, kMaxSpecBytes), release_yaml);
}

}  // namespace bundle::spec
