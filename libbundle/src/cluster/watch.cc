#include "cluster/watch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bundle/error.h"
#include "transfer/http_retry.h"

namespace bundle::cluster {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

// After an answer that did not help, Flux is asked again so often.
constexpr seconds kRound{10};

// Errors that waiting does not cure.
bool is_final(const Error& error) {
  constexpr ErrorCode kFinal[] = {ErrorCode::auth_failed,    ErrorCode::tls_failed,
                                  ErrorCode::config_invalid, ErrorCode::cancelled,
                                  ErrorCode::gate_refused,   ErrorCode::usage};
  return std::ranges::find(kFinal, error.code()) != std::end(kFinal);
}

}  // namespace

ClusterWatch::ClusterWatch(FileSystem& fs, const release::ClusterSettings& settings,
                           Progress& progress, const Cancel& cancel)
    : fs_(fs), settings_(settings), progress_(progress), cancel_(cancel) {}

KubeClient& ClusterWatch::client() {
  if (!client_) {
    client_.emplace(load_kubeconfig(fs_, settings_.kubeconfig, settings_.context), cancel_);
  }
  return *client_;
}

// `missing` gives what is not there yet, in words; it is asked until there is nothing.
template <typename Look>
void ClusterWatch::wait(Look missing, seconds time_limit, std::string_view what) {
  const auto start = steady_clock::now();
  std::string last;
  for (;;) {
    std::string left;
    try {
      left = missing(std::chrono::duration_cast<seconds>(steady_clock::now() - start));
    } catch (const Error& error) {
      if (is_final(error)) throw;
      left = error.message();
    }
    if (left.empty()) return;
    if (left != last) progress_.note(fmt::format("waiting for {}: {}", what, left));
    last = left;
    if (steady_clock::now() - start >= time_limit) {
      throw Error(
          ErrorCode::timeout,
          fmt::format("{} did not come about within {} s: {}", what, time_limit.count(), left),
          "Look at the cluster: k3s kubectl get nodes; k3s kubectl -n flux-system get "
          "ocirepositories,kustomizations,helmreleases.");
    }
    transfer::sleep_or_cancel(settings_.poll_interval, &cancel_);
  }
}

void ClusterWatch::wait_for_release(const ServedDigests& served, const std::string& token) {
  progress_.phase("waiting for the cluster", 0);
  wait(
      [&](seconds passed) {
        const ClusterState now = state();
        const std::vector<std::string> missing = missing_steps(now, served, token);
        if (missing.empty()) return std::string();
        const std::vector<std::string> lost = given_up(now, served, token);
        if (!lost.empty()) {
          throw Error(ErrorCode::gate_refused, fmt::format("{}", fmt::join(lost, "; ")),
                      "Ask the vendor with this message; bundle-import support-bundle collects "
                      "what they need.");
        }
        const auto round = static_cast<std::uint64_t>(passed / kRound);
        request_reconcile(client(), now, served, token, round);
        return fmt::format("{}", fmt::join(missing, "; "));
      },
      settings_.time_limit, "Flux and the nodes");
}

void ClusterWatch::wait_for_node(const std::string& node, const std::string& version,
                                 seconds time_limit) {
  const auto missing = [&](seconds) -> std::string {
    for (const Node& found : read_nodes(client())) {
      if (found.name != node) continue;
      if (found.version != version) {
        return fmt::format("node {} runs {} and not {}", node, found.version, version);
      }
      return found.ready ? "" : fmt::format("node {} is not ready: {}", node, found.reason);
    }
    return fmt::format("the cluster has no node {}", node);
  };
  progress_.phase("waiting for node " + node, 0);
  wait(missing, time_limit, "node " + node);
}

}  // namespace bundle::cluster
