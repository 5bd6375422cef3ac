// Any bytes as a release manifest: what is accepted is canonical.
#include <cstdlib>

#include "bundle/error.h"
#include "release/gate.h"
#include "release/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  const std::string text(as_text({data, size}));
  try {
    const release::Manifest manifest = release::parse_manifest(text, "manifest.json");
    const std::string written = release::write_manifest(manifest);
    if (release::write_manifest(release::parse_manifest(written, "written")) != written) {
      std::abort();
    }
    release::may_activate(&manifest, manifest, release::GateDirection::upgrade);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) std::abort();
  }
  return 0;
}
