#include "cluster/kubeconfig.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "bundle/error.h"
#include "codec/yaml.h"
#include "transfer/http_url.h"

namespace bundle::cluster {
namespace {

using codec::Json;

constexpr std::uint64_t kMaxCredentialBytes = 64 * 1024;
constexpr std::size_t kMaxConfigDepth = 16;

[[noreturn]] void refuse(const Path& path, const std::string& problem, std::string hint = {}) {
  if (hint.empty()) {
    hint =
        "Name the kubeconfig of this cluster in site.yaml (cluster.kubeconfig); k3s writes one to "
        "/etc/rancher/k3s/k3s.yaml.";
  }
  throw Error(ErrorCode::config_invalid, fmt::format("{}: {}", path.string(), problem),
              std::move(hint));
}

class Reader {
 public:
  Reader(FileSystem& fs, std::string_view text, const Path& path)
      : fs_(fs),
        path_(path),
        document_(codec::parse_yaml(text, path.string(), ErrorCode::config_invalid,
                                    {kMaxKubeconfigBytes, kMaxConfigDepth})) {
    if (!root().is_object()) refuse(path_, "is no kubeconfig");
  }

  const Json& root() const { return document_.root(); }

  std::string text(const Json& object, std::string_view key) const {
    const Json* value = object.find(key);
    if (value == nullptr || value->is_null()) return {};
    if (!value->is_string()) refuse(path_, fmt::format("'{}' is no text", key));
    return value->as_string();
  }

  // The entry of a list {name, <kind>: {...}} that has this name.
  const Json& named(std::string_view list, std::string_view kind, const std::string& name) const {
    const Json* entries = root().find(list);
    if (entries != nullptr && entries->is_array()) {
      for (const Json& entry : entries->as_array()) {
        const Json* content = entry.find(kind);
        if (text(entry, "name") == name && content != nullptr && content->is_object()) {
          return *content;
        }
      }
    }
    refuse(path_, fmt::format("there is no {} '{}'", kind, name));
  }

  // Of KEY-data in base64, or of the file that KEY names.
  std::string credential(const Json& object, const std::string& key) const {
    if (const std::string data = text(object, key + "-data"); !data.empty()) {
      const auto decoded = from_base64(data);
      if (!decoded) refuse(path_, fmt::format("'{}-data' is not base64", key));
      return std::string(as_text(*decoded));
    }
    return file(text(object, key));
  }

  std::string file(const std::string& name) const {
    if (name.empty()) return {};
    const Path file = Path(name).is_absolute() ? Path(name) : path_.parent_path() / name;
    return read_text_file(fs_, file, kMaxCredentialBytes);
  }

 private:
  FileSystem& fs_;
  const Path& path_;
  codec::YamlDocument document_;
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

void read_server(const Reader& reader, const Json& cluster, const Path& path,
                 ClusterAccess& access) {
  access.server = reader.text(cluster, "server");
  if (access.server.empty()) refuse(path, "the cluster has no 'server'");
  while (access.server.ends_with('/')) access.server.pop_back();
  transfer::Url url;
  try {
    url = transfer::Url::parse(access.server, "server");
  } catch (const Error& error) {
    refuse(path, error.message());
  }
  if (url.scheme != "https" && !is_loopback(url.host)) {
    refuse(path, fmt::format("{} is not protected by TLS", access.server),
           "Write https://, with the cluster's certificate-authority.");
  }
  const Json* insecure = cluster.find("insecure-skip-tls-verify");
  if (insecure != nullptr && insecure->is_bool() && insecure->as_bool()) {
    refuse(path, "'insecure-skip-tls-verify' would let anybody answer in the cluster's place",
           "Give the cluster's certificate-authority instead.");
  }
  if (!reader.text(cluster, "tls-server-name").empty()) {
    throw Error(ErrorCode::unsupported, fmt::format("{}: 'tls-server-name'", path.string()),
                "Use a 'server' address that is in the API server's certificate.");
  }
  access.tls.ca_pem = reader.credential(cluster, "certificate-authority");
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

void read_user(const Reader& reader, const Json& user, const Path& path, ClusterAccess& access) {
  for (const char* const key : {"exec", "auth-provider", "password"}) {
    if (user.find(key) == nullptr) continue;
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: this program does not log in by '{}'", path.string(), key),
                "Use a client certificate or a token, as in the kubeconfig that k3s writes.");
  }
  access.tls.client_cert_pem = reader.credential(user, "client-certificate");
  access.tls.client_key_pem = reader.credential(user, "client-key");
  if (access.tls.client_cert_pem.empty() != access.tls.client_key_pem.empty()) {
    refuse(path, "client-certificate and client-key go together");
  }
  access.token = reader.text(user, "token");
  if (access.token.empty()) access.token = trimmed(reader.file(reader.text(user, "tokenFile")));
  for (const char c : access.token) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F) refuse(path, "the token is malformed");
  }
}

}  // namespace

ClusterAccess parse_kubeconfig(FileSystem& fs, std::string_view text, const Path& path,
                               const std::string& context) {
  const Reader reader(fs, text, path);
  const std::string wanted =
      context.empty() ? reader.text(reader.root(), "current-context") : context;
  if (wanted.empty()) refuse(path, "has no current-context");
  const Json& chosen = reader.named("contexts", "context", wanted);
  ClusterAccess access;
  read_server(reader, reader.named("clusters", "cluster", reader.text(chosen, "cluster")), path,
              access);
  if (const std::string user = reader.text(chosen, "user"); !user.empty()) {
    read_user(reader, reader.named("users", "user", user), path, access);
  }
  return access;
}

ClusterAccess load_kubeconfig(FileSystem& fs, const Path& path, const std::string& context) {
  return parse_kubeconfig(fs, read_text_file(fs, path, kMaxKubeconfigBytes), path, context);
}

}  // namespace bundle::cluster
