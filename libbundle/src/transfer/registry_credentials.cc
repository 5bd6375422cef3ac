#include "transfer/registry_credentials.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/bytes.h"
#include "bundle/error.h"
#include "codec/json.h"

namespace bundle::transfer {
namespace {

constexpr std::chrono::milliseconds kHelperTimeLimit{30'000};
// The key under which Docker stores the login of docker.io, and asks its helpers.
constexpr std::string_view kDockerHubKey = "https://index.docker.io/v1/";

[[noreturn]] void refuse_config(std::string_view what, std::string_view why) {
  throw Error(ErrorCode::config_invalid, fmt::format("{}: {}", what, why),
              "Write the file again with skopeo login or docker login, or name another one with "
              "--authfile.");
}

// One spelling for keys: no scheme, no API path, docker.io under its own name.
std::string canonical_key(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!key.starts_with(scheme)) continue;
    key.remove_prefix(scheme.size());
    key = key.substr(0, key.find('/'));  // "https://host/v1/" names the host only
    break;
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  const std::size_t slash = key.find('/');
  const std::string_view host = key.substr(0, slash);
  const std::string_view path = slash == std::string_view::npos ? "" : key.substr(slash);
  const bool hub = host == "index.docker.io" || host == "registry-1.docker.io";
  return (hub ? "docker.io" : std::string(host)) + std::string(path);
}

const codec::Json::Object& member_object(const codec::Json& json, std::string_view name,
                                         std::string_view what) {
  static const codec::Json::Object kEmpty;
  const codec::Json* member = json.find(name);
  if (member == nullptr || member->is_null()) return kEmpty;
  if (!member->is_object()) refuse_config(what, fmt::format("'{}' is no object", name));
  return member->as_object();
}

std::string member_text(const codec::Json& json, std::string_view name, std::string_view what) {
  const codec::Json* member = json.find(name);
  if (member == nullptr || member->is_null()) return {};
  if (!member->is_string()) refuse_config(what, fmt::format("'{}' is no string", name));
  return member->as_string();
}

Credentials parse_entry(const codec::Json& json, std::string_view what) {
  if (!json.is_object()) refuse_config(what, "an entry of 'auths' is no object");
  Credentials credentials;
  credentials.username = member_text(json, "username", what);
  credentials.password = member_text(json, "password", what);
  credentials.identity_token = member_text(json, "identitytoken", what);
  const std::string encoded = member_text(json, "auth", what);
  if (encoded.empty()) return credentials;
  const std::optional<Bytes> decoded = from_base64(encoded);
  if (!decoded) refuse_config(what, "an 'auth' is no base64");
  std::string_view text = as_text(*decoded);
  while (text.ends_with('\0')) text.remove_suffix(1);  // old docker clients padded with zeros
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0)
    refuse_config(what, "an 'auth' is no user:password");
  credentials.username = text.substr(0, colon);
  credentials.password = text.substr(colon + 1);
  return credentials;
}

bool is_helper_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
             std::string_view::npos;
}

// The entry for `name` or for the longest prefix of it that ends before a slash.
template <typename Map>
auto longest_match(const Map& map, std::string name) {
  for (;;) {
    if (const auto found = map.find(name); found != map.end()) return found;
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos) return map.end();
    name.resize(slash);
  }
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Path in_home(std::string_view variable, std::string_view directory_in_home) {
  const std::string set = environment(std::string(variable).c_str());
  if (!set.empty()) return set;
  const std::string home = environment("HOME");
  return home.empty() ? Path() : Path(home) / directory_in_home;
}

std::vector<Path> default_files() {
  std::vector<Path> paths;
  if (const std::string run = environment("XDG_RUNTIME_DIR"); !run.empty()) {
    paths.push_back(Path(run) / "containers" / "auth.json");
  }
  if (const Path config = in_home("XDG_CONFIG_HOME", ".config"); !config.empty()) {
    paths.push_back(config / "containers" / "auth.json");
  }
  if (const Path docker = in_home("DOCKER_CONFIG", ".docker"); !docker.empty()) {
    paths.push_back(docker / "config.json");
  }
  return paths;
}

std::optional<Credentials> ask_helper(const std::string& name, const std::string& host) {
  const std::string server = host == "docker.io" ? std::string(kDockerHubKey) : host;
  return run_credential_helper(name, server, kHelperTimeLimit);
}

}  // namespace

DockerConfig DockerConfig::parse(std::string_view text, std::string_view what) {
  codec::Json json;
  try {
    json = codec::parse_json(text, what, {.max_bytes = kMaxDockerConfigBytes, .max_depth = 16});
  } catch (const Error& error) {
    refuse_config(what, error.message());
  }
  if (!json.is_object()) refuse_config(what, "not a JSON object");
  DockerConfig config;
  for (const auto& [key, value] : member_object(json, "auths", what)) {
    config.auths[canonical_key(key)] = parse_entry(value, what);
  }
  for (const auto& [key, value] : member_object(json, "credHelpers", what)) {
    if (!value.is_string() || !is_helper_name(value.as_string())) {
      refuse_config(what, "'credHelpers' names no usable helper");
    }
    config.cred_helpers[canonical_key(key)] = value.as_string();
  }
  config.creds_store = member_text(json, "credsStore", what);
  if (!config.creds_store.empty() && !is_helper_name(config.creds_store)) {
    refuse_config(what, "'credsStore' names no usable helper");
  }
  return config;
}

CredentialStore::CredentialStore(FileSystem& fs, std::optional<Path> auth_file) {
  const auto load = [this, &fs](const Path& path) {
    files_.push_back({path, DockerConfig::parse(read_text_file(fs, path, kMaxDockerConfigBytes),
                                                path.string())});
  };
  if (!auth_file) {
    if (const std::string set = environment("REGISTRY_AUTH_FILE"); !set.empty()) auth_file = set;
  }
  if (auth_file) {
    load(*auth_file);
    return;
  }
  for (const Path& path : default_files()) {
    if (fs.status(path)) load(path);
  }
}

Credentials CredentialStore::find(const std::string& host, const std::string& repository) const {
  const std::string name = canonical_key(host + "/" + repository);
  const std::string plain_host = name.substr(0, name.find('/'));
  for (const auto& [path, config] : files_) {
    if (const auto helper = longest_match(config.cred_helpers, name);
        helper != config.cred_helpers.end()) {
      if (auto found = ask_helper(helper->second, helper->first)) return *found;
    }
    // With a credsStore Docker leaves empty entries behind: they only say "logged in".
    if (const auto entry = longest_match(config.auths, name);
        entry != config.auths.end() && !entry->second.empty()) {
      return entry->second;
    }
    if (config.creds_store.empty()) continue;
    if (auto found = ask_helper(config.creds_store, plain_host)) return *found;
  }
  return {};
}

std::string CredentialStore::files() const {
  std::string list;
  for (const File& file : files_) list += (list.empty() ? "" : ", ") + file.path.string();
  return list.empty() ? "no credential file was found" : list;
}

}  // namespace bundle::transfer
