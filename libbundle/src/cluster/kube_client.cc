#include "cluster/kube_client.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "transfer/http_error.h"
#include "transfer/http_url.h"

namespace bundle::cluster {
namespace {

using codec::Json;

// What runs in a cluster may write deep structures into its objects.
constexpr std::size_t kMaxAnswerDepth = 100;
// Callers wait and ask again by themselves: an API server that restarts is nothing unusual.
constexpr int kAttempts = 2;
constexpr std::chrono::milliseconds kConnectTimeout{5'000};
constexpr std::chrono::milliseconds kStallTimeout{20'000};

transfer::HttpOptions http_options(const ClusterAccess& access, const Cancel& cancel) {
  transfer::HttpOptions options;
  options.tls = access.tls;
  options.connect_timeout = kConnectTimeout;
  options.stall_timeout = kStallTimeout;
  options.max_redirects = 0;
  options.max_attempts = kAttempts;
  options.retry_after_max = kConnectTimeout;
  options.cancel = &cancel;
  return options;
}

std::string read_all(transfer::HttpResponse& response) {
  std::string text;
  Bytes buffer(std::size_t{64} * 1024);
  while (const std::size_t got = response.read(buffer)) {
    text.append(as_text(ByteView(buffer).first(got)));
  }
  return text;
}

// meta/v1 Status: {"kind": "Status", "message": ...}.
std::string status_message(transfer::HttpResponse& response) {
  try {
    const Json status = codec::parse_json(read_all(response), "answer");
    return transfer::printable_server_text(status.string_or("message", ""));
  } catch (const Error&) {
    return {};
  }
}

[[noreturn]] void fail(transfer::HttpResponse& response, const std::string& action) {
  const int status = response.status();
  const std::string words = status_message(response);
  const std::string message = fmt::format("cannot {}: the cluster answered {}{}", action, status,
                                          words.empty() ? "" : " (" + words + ")");
  if (status == 401 || status == 403) {
    throw Error(ErrorCode::auth_failed, message,
                "Does the user of the kubeconfig (site.yaml, cluster) have these rights? k3s' own "
                "kubeconfig has.");
  }
  if (status == 404) {
    throw Error(ErrorCode::not_found, message, "Is Flux installed in this cluster?");
  }
  throw Error(ErrorCode::http_status, message,
              "Look at the cluster: systemctl status k3s, journalctl -u k3s.");
}

}  // namespace

KubeClient::KubeClient(ClusterAccess access, const Cancel& cancel)
    : access_(std::move(access)), http_(http_options(access_, cancel)) {}

transfer::HttpRequest KubeClient::request(const std::string& path) const {
  transfer::HttpRequest request;
  request.url = access_.server + path;
  request.headers.add("Accept", "application/json");
  if (!access_.token.empty()) request.headers.add("Authorization", "Bearer " + access_.token);
  request.max_response_bytes = kMaxAnswerBytes;
  return request;
}

Json KubeClient::receive(transfer::HttpRequest request, const std::string& action) {
  const auto response = http_.send(request);
  if (response->status() < 200 || response->status() > 299) fail(*response, action);
  return codec::parse_json(read_all(*response), "the cluster's answer",
                           {kMaxAnswerBytes, kMaxAnswerDepth});
}

std::vector<Json> KubeClient::list(const std::string& path) {
  std::vector<Json> items;
  std::string more;
  do {
    const std::string query = more.empty() ? "" : "&continue=" + transfer::percent_encode(more);
    Json page = receive(request(fmt::format("{}?limit={}{}", path, kPageSize, query)),
                        fmt::format("list {}", path));
    if (!page.is_object()) throw Error(ErrorCode::json_invalid, path + " is no list");
    auto found = page.as_object().find("items");
    if (found != page.as_object().end() && found->second.is_array()) {
      for (Json& item : found->second.as_array()) items.push_back(std::move(item));
    }
    if (items.size() > kMaxListItems) {
      throw Error(ErrorCode::limit,
                  fmt::format("{} has more than {} objects", path, kMaxListItems));
    }
    const Json* metadata = page.find("metadata");
    more = metadata == nullptr ? "" : metadata->string_or("continue", "");
  } while (!more.empty());
  return items;
}

std::optional<Json> KubeClient::get(const std::string& path) {
  try {
    return receive(request(path), fmt::format("read {}", path));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return std::nullopt;
  }
}

void KubeClient::merge_patch(const std::string& path, const Json& patch) {
  transfer::HttpRequest change = request(path);
  change.method = "PATCH";
  change.headers.add("Content-Type", "application/merge-patch+json");
  change.body = transfer::HttpBody::text(codec::dump_json(patch));
  receive(std::move(change), fmt::format("change {}", path));
}

}  // namespace bundle::cluster
