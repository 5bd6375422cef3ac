#include "release/upgrade_path.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "release/upgrade_rules.h"

namespace bundle::release {
namespace {

constexpr std::size_t kUnreachable = std::numeric_limits<std::size_t>::max();

bool same_line(const SemVer& a, const SemVer& b) {
  return a.major == b.major && a.minor == b.minor;
}

// The releases from the active one to the candidate, and which may follow which.
class Graph {
 public:
  explicit Graph(const PathQuestion& question) : question_(question) {
    add(question.active);
    for (const StoredRelease& release : question.store) {
      const Manifest& manifest = release.manifest;
      const bool between =
          manifest.product == question.active.product && !is_older(manifest, question.active) &&
          !is_older(question.candidate, manifest) && manifest.version != question.active.version &&
          manifest.version != question.candidate.version;
      if (between && release.usable()) add(manifest);
    }
    add(question.candidate);
    for (std::size_t from = 0; from < nodes_.size(); ++from) {
      allowed_.emplace_back(nodes_.size());
      for (std::size_t to = 0; to < nodes_.size(); ++to) {
        allowed_[from][to] =
            from != to && !is_older(*nodes_[to], *nodes_[from]) && failures(from, to).empty();
      }
    }
  }

  static constexpr std::size_t kStart = 0;
  std::size_t goal() const { return nodes_.size() - 1; }
  const Manifest& manifest(std::size_t node) const { return *nodes_[node]; }
  const SemVer& version(std::size_t node) const { return versions_[node]; }

  std::vector<GateFailure> failures(std::size_t from, std::size_t to) const {
    const bool k8s_unmoved = from == kStart || question_.app_only;
    const K3sVersion k8s = k8s_unmoved ? question_.k8s : k8s_version(*nodes_[from]);
    return upgrade_failures({*nodes_[from], *nodes_[to], k8s, question_.app_only, question_.known});
  }
  // Steps from each node to `target`; kUnreachable where there is no way.
  std::vector<std::size_t> distances_to(std::size_t target) const {
    std::vector<std::size_t> distance(nodes_.size(), kUnreachable);
    std::vector<std::size_t> queue{target};
    distance[target] = 0;
    for (std::size_t next = 0; next < queue.size(); ++next) {
      for (std::size_t node = 0; node < nodes_.size(); ++node) {
        if (distance[node] != kUnreachable || !allowed_[node][queue[next]]) continue;
        distance[node] = distance[queue[next]] + 1;
        queue.push_back(node);
      }
    }
    return distance;
  }

  // The first step of a shortest way to `target`, the one to the newest release; nothing without a
  // way.
  std::optional<std::size_t> first_step(std::size_t target) const {
    const std::vector<std::size_t> distance = distances_to(target);
    if (distance[kStart] == kUnreachable) return std::nullopt;
    std::optional<std::size_t> best;
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      const bool nearer = distance[node] != kUnreachable && distance[node] + 1 == distance[kStart];
      if (!nearer || !allowed_[kStart][node]) continue;
      if (!best || compare(versions_[*best], versions_[node]) < 0) best = node;
    }
    return best;
  }

  // The newest reachable release before the candidate that is of a later minor than the start; the
  // start when there is none.
  std::size_t furthest() const {
    std::size_t best = kStart;
    for (std::size_t node = 1; node < goal(); ++node) {
      if (same_line(versions_[node], versions_[kStart])) continue;
      if (compare(versions_[best], versions_[node]) < 0 && first_step(node)) best = node;
    }
    return best;
  }

 private:
  void add(const Manifest& manifest) {
    nodes_.push_back(&manifest);
    versions_.push_back(app_version(manifest));
  }

  const PathQuestion& question_;
  std::vector<const Manifest*> nodes_;
  std::vector<SemVer> versions_;
  std::vector<std::vector<bool>> allowed_;  // [from][to]
};

struct Missing {
  std::string version;  // exact or a pattern; empty when no import helps
  std::string text;     // for people
};

// The minor after that of `from`, on the way to `to`; or a required release when it comes first.
Missing next_line(const SemVer& from, const SemVer& to, const std::vector<SemVer>& required) {
  if (!required.empty() && minors_between(from, required.front(), {}) <= 1) {
    return {required.front().text(), required.front().text()};
  }
  std::string line = fmt::format("{}.{}.x", from.major, from.minor + 1);
  if (to.major != from.major) line += fmt::format(" or {}.0.x", from.major + 1);
  return {line, line};
}

// What would have to be in the store to go on from `from`.
Missing missing_after(const Graph& graph, std::size_t from) {
  const Manifest& candidate = graph.manifest(graph.goal());
  const std::vector<SemVer> required = required_between(graph.version(from), candidate);
  const std::vector<GateFailure> failures = graph.failures(from, graph.goal());
  const GateFailure& first = failures.front();
  if (first.rule == "sequential" || first.rule == "support-window") {
    return next_line(graph.version(from), graph.version(graph.goal()), required);
  }
  if (first.rule == "required-release") return {required.front().text(), required.front().text()};
  if (first.rule == "upgrade-from" && !candidate.upgrade_from.empty()) {
    std::string patterns = fmt::format("{}", fmt::join(candidate.upgrade_from, " or "));
    return {patterns, "a release that matches " + patterns};
  }
  if (first.rule == "k8s-skew") {
    const SemVer k8s = k8s_version(graph.manifest(from)).kubernetes;
    return {"", fmt::format("a release with k3s v{}.{}", k8s.major, k8s.minor + 1)};
  }
  return {"", ""};
}

}  // namespace

bool has_way(const PathQuestion& question) {
  const Graph graph(question);
  return graph.first_step(graph.goal()).has_value();
}

NextStep next_on_the_way(const PathQuestion& question) {
  const Graph graph(question);
  const std::string run = fmt::format("You run {}; ", question.active.version);
  if (const auto step = graph.first_step(graph.goal())) {
    const std::string& version = graph.manifest(*step).version;
    return {"activate", version,
            run + fmt::format("activate {} first: it is in this store.", version)};
  }
  const std::size_t furthest = graph.furthest();
  const Missing missing = missing_after(graph, furthest);
  if (furthest != Graph::kStart) {
    const std::string& version = graph.manifest(*graph.first_step(furthest)).version;
    std::string text = run + fmt::format("activate {} first: it is in this store.", version);
    if (!missing.text.empty()) {
      text += fmt::format(" After {} import {}: missing from this store.",
                          graph.manifest(furthest).version, missing.text);
    }
    return {"activate", version, std::move(text)};
  }
  if (missing.text.empty()) {
    const std::string hint = graph.failures(Graph::kStart, graph.goal()).front().next_step;
    return {"ask-vendor", "", hint};
  }
  return {"import", missing.version,
          run + fmt::format("import {} first: missing from this store.", missing.text)};
}

NextStep next_instead(const PathQuestion& question) {
  const StoredRelease* best = nullptr;
  for (const StoredRelease& release : question.store) {
    const Manifest& manifest = release.manifest;
    const bool suits = release.usable() && manifest.product == question.active.product &&
                       manifest.version != question.active.version &&
                       manifest.version != question.candidate.version &&
                       !is_older(manifest, question.active) &&
                       upgrade_failures({question.active, manifest, question.k8s, question.app_only,
                                         question.known})
                           .empty();
    if (suits && (best == nullptr || is_older(best->manifest, manifest))) best = &release;
  }
  if (best != nullptr) {
    const std::string& version = best->manifest.version;
    return {"activate", version, fmt::format("Activate {} instead: it is in this store.", version)};
  }
  return {"import", "", "Import another release: this store has none that may follow."};
}

}  // namespace bundle::release
