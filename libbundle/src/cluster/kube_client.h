// The Kubernetes API, as far as a site's upgrade needs it: lists are read and fields are set.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/kubeconfig.h"
#include "codec/json.h"

namespace bundle::cluster {

inline constexpr std::uint64_t kMaxAnswerBytes = 8ull * 1024 * 1024;
inline constexpr std::size_t kMaxListItems = 10'000;

// Not thread-safe. Peak memory: about ten times the largest answer, pages of kPageSize objects.
class KubeClient {
 public:
  static constexpr int kPageSize = 100;

  // `cancel` is polled while waiting and must outlive this object.
  KubeClient(ClusterAccess access, const Cancel& cancel);

  // All objects of a collection ("/api/v1/nodes"), page by page. A resource that the server does
  // not know (its CRD is not installed) is Error{not_found}; an answer that is no list
  // Error{json_invalid}; more than kMaxListItems Error{limit}.
  // All calls throw Error{network|timeout|tls_failed|auth_failed|http_status|cancelled}.
  std::vector<codec::Json> list(const std::string& path);
  // One object; nothing when there is none of this name.
  std::optional<codec::Json> get(const std::string& path);
  // JSON merge patch (RFC 7386) of one object. Setting the same again is no change.
  void merge_patch(const std::string& path, const codec::Json& patch);

  const std::string& server() const { return access_.server; }

 private:
  transfer::HttpRequest request(const std::string& path) const;
  codec::Json receive(transfer::HttpRequest request, const std::string& action);

  ClusterAccess access_;
  transfer::HttpClient http_;
};

}  // namespace bundle::cluster
