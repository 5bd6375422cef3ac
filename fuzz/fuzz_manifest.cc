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
    release::GateFacts facts;
    facts.store = {{manifest, std::nullopt, 0}};
    facts.candidate = manifest.version;
    release::may_activate(facts);
    facts.active = manifest.version;
    facts.store.push_back(facts.store.front());
    facts.store.back().manifest.version = "999999999.0.0";  // the same rules, now of an upgrade
    facts.candidate = facts.store.back().manifest.version;
    release::may_activate(facts);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) std::abort();
  }
  return 0;
}
