#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "bundle/site_setup.h"
#include "codec/json.h"
#include "crypto/certificate.h"
#include "crypto/secret_file.h"
#include "crypto/signer.h"
#include "io/file_system.h"
#include "oci/reference.h"
#include "store/site_store.h"

namespace bundle {
namespace {

constexpr std::uint64_t kMaxAuthorityBytes = 64 * 1024;

// A JSON string is a YAML string, whatever is in it.
std::string yaml_text(std::string_view text) {
  return codec::dump_json(codec::Json(text));
}

// "registry.example.com:5000" of "https://registry.example.com:5000".
std::string host_of(const std::string& endpoint) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!endpoint.starts_with(scheme)) continue;
    std::string host = endpoint.substr(scheme.size());
    if (host.ends_with('/')) host.pop_back();
    if (oci::is_valid_registry(host)) return host;
  }
  throw Error(ErrorCode::usage, fmt::format("\"{}\" is no address of a registry", endpoint),
              "Write https://HOST:PORT, or http://HOST:PORT for a registry without TLS.");
}

struct Inputs {
  std::string host;
  std::string ca_pem;
  std::string password;
};

Inputs read_inputs(FileSystem& fs, const ClusterConfigOptions& options) {
  Inputs inputs;
  inputs.host = host_of(options.endpoint);
  if (!options.ca_file.empty()) {
    inputs.ca_pem = read_text_file(fs, options.ca_file, kMaxAuthorityBytes);
    if (!read_certificate(inputs.ca_pem, options.ca_file.string()).authority) {
      throw Error(ErrorCode::key_invalid,
                  options.ca_file.string() + " is no authority's certificate",
                  "Give the ca.pem that bundle-import gen-cert wrote, never a key.");
    }
    if (inputs.ca_pem.find("PRIVATE KEY") != std::string::npos) {
      throw Error(ErrorCode::key_invalid, options.ca_file.string() + " holds a private key",
                  "Give a file with the certificate alone: it goes to every node.");
    }
  }
  if (options.user.empty() != options.password_file.empty()) {
    throw Error(ErrorCode::usage, "user and password file go together",
                "Give both, or none for a registry that lets everybody pull.");
  }
  if (!options.user.empty()) {
    inputs.password = as_text(read_password_file(fs, options.password_file).view());
  }
  return inputs;
}

// "*" and, when a store is given, every registry that its releases name: an entry of its own works
// with what does not know "*".
std::vector<std::string> mirrored(FileSystem& fs, const ClusterConfigOptions& options) {
  std::vector<std::string> registries{"*"};
  if (options.store.empty()) return registries;
  std::set<std::string> hosts;
  const auto store = store::SiteStore::open(fs, options.store);
  for (const auto& release : store->releases()) {
    for (const auto& artifact : store->release_artifacts(release.version)) {
      const std::string head = artifact.name.substr(0, artifact.name.find('/'));
      if (head.size() < artifact.name.size() && head.find_first_of(".:") != std::string::npos &&
          oci::is_valid_registry(head)) {
        hosts.insert(head);
      }
    }
  }
  registries.insert(registries.end(), hosts.begin(), hosts.end());
  return registries;
}

std::string registries_yaml(const ClusterConfigOptions& options, const Inputs& inputs,
                            const std::vector<std::string>& registries) {
  std::string out =
      "# Goes to /etc/rancher/k3s/registries.yaml on every node; k3s reads it when it starts.\n"
      "# Images keep their upstream names: nodes ask this registry for all of them.\nmirrors:\n";
  for (const std::string& name : registries) {
    out += fmt::format("  {}:\n    endpoint:\n      - {}\n", yaml_text(name),
                       yaml_text(options.endpoint));
  }
  if (options.user.empty() && inputs.ca_pem.empty()) return out;
  out += fmt::format("configs:\n  {}:\n", yaml_text(inputs.host));
  if (!options.user.empty()) {
    out += fmt::format("    auth:\n      username: {}\n      password: {}\n",
                       yaml_text(options.user), yaml_text(inputs.password));
  }
  if (!inputs.ca_pem.empty()) {
    out += fmt::format("    tls:\n      ca_file: {}\n", yaml_text(options.node_ca_path));
  }
  return out;
}

constexpr std::string_view kConfigDropIn =
    "# Goes to /etc/rancher/k3s/config.yaml.d/ on every node. Without it a node that finds an "
    "image\n"
    "# missing here waits for the upstream registry, which this site cannot reach.\n"
    "disable-default-registry-endpoint: true\n";

std::string indented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += "    " + text.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return out;
}

std::string secret(std::string_view name, std::string_view space, std::string_view type) {
  return fmt::format(
      "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  namespace: {}\ntype: {}\n"
      "stringData:\n",
      name, yaml_text(space), type);
}

// For OCIRepository: certSecretRef bundle-registry-ca, secretRef bundle-registry-auth.
std::string flux_secrets(const ClusterConfigOptions& options, const Inputs& inputs) {
  std::string out = "# kubectl apply -f flux-secrets.yaml, after Flux's namespace is there.\n";
  if (!inputs.ca_pem.empty()) {
    out += secret("bundle-registry-ca", options.flux_namespace, "Opaque");
    out += "  ca.crt: |\n" + indented(inputs.ca_pem);
  }
  if (!options.user.empty()) {
    codec::Json login;
    login.set("username", options.user).set("password", inputs.password);
    login.set("auth", to_base64(as_bytes(options.user + ":" + inputs.password)));
    codec::Json auths;
    auths.set(inputs.host, std::move(login));
    codec::Json config;
    config.set("auths", std::move(auths));
    out += secret("bundle-registry-auth", options.flux_namespace, "kubernetes.io/dockerconfigjson");
    out += "  .dockerconfigjson: " + yaml_text(codec::dump_json(config)) + "\n";
  }
  return out;
}

}  // namespace

ClusterConfigReport write_cluster_config(const ClusterConfigOptions& options) {
  FileSystem& fs = posix_file_system();
  const Inputs inputs = read_inputs(fs, options);
  ClusterConfigReport report;
  report.registries = mirrored(fs, options);
  const auto write = [&](const Path& name, const std::string& content, bool is_secret) {
    const Path path = options.folder / name;
    fs.create_directories(path.parent_path());
    if (is_secret) {
      write_secret_file(fs, path, as_bytes(content));
    } else {
      write_file_atomically(fs, path, as_bytes(content));
    }
    report.files.push_back(path);
  };
  const bool with_password = !options.user.empty();
  write("registries.yaml", registries_yaml(options, inputs, report.registries), with_password);
  write("config.yaml.d/50-bundle-registry.yaml", std::string(kConfigDropIn), false);
  if (!inputs.ca_pem.empty()) write("bundle-registry-ca.crt", inputs.ca_pem, false);
  if (with_password || !inputs.ca_pem.empty()) {
    write("flux-secrets.yaml", flux_secrets(options, inputs), with_password);
  }
  return report;
}

}  // namespace bundle
