// Any bytes as a kubeconfig: refused, or a server that may be spoken to.
#include <cstdlib>

#include "base/bytes.h"
#include "bundle/error.h"
#include "cluster/kubeconfig.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  try {
    const cluster::ClusterAccess access = cluster::parse_kubeconfig(
        posix_file_system(), as_text({data, size}), "/nonexistent/kubeconfig", "");
    if (!access.server.starts_with("https://") && !access.server.starts_with("http://"))
      std::abort();
    if (access.token.find('\n') != access.token.npos) std::abort();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal || error.message().empty()) std::abort();
  }
  return 0;
}
