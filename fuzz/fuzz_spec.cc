// Any bytes as a release.yaml in a folder that does not exist: no spec, or one that names no file.
#include <cstdlib>

#include "bundle/error.h"
#include "spec/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  try {
    const spec::ReleaseSpec spec = spec::parse_spec(posix_file_system(), as_text({data, size}),
                                                    "/no-such-folder/release.yaml");
    std::abort();  // every release has a chart, and there is none
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal || error.message().empty()) std::abort();
  }
  return 0;
}
