// A kubeconfig: where a cluster's API server is and how to log in there.
#pragma once

#include <string>
#include <string_view>

#include "io/file_system.h"
#include "transfer/http_client.h"

namespace bundle::cluster {

inline constexpr std::size_t kMaxKubeconfigBytes = 256 * 1024;

// Holds secrets: never printed. Plain values; copyable.
struct ClusterAccess {
  std::string server;      // "https://127.0.0.1:6443", no '/' at the end
  transfer::TlsFiles tls;  // authority, and the client's certificate when it logs in by one
  std::string token;       // else a bearer token; may be empty
};

// The access that `context` names, or the current context when it is empty. `path` is for messages,
// and relative file names start at its folder. Read are certificates and tokens, as text or as
// files. Never without TLS but to this machine itself; never without a check of the server.
// Throws Error{config_invalid} naming file and what is missing, Error{unsupported} for logins that
// need another program (exec, auth-provider) or passwords, Error{limit|not_found}.
ClusterAccess parse_kubeconfig(FileSystem& fs, std::string_view text, const Path& path,
                               const std::string& context);
ClusterAccess load_kubeconfig(FileSystem& fs, const Path& path, const std::string& context);

}  // namespace bundle::cluster
