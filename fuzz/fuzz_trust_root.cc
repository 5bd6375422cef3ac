// Trust roots come from any medium and are read before anything vouches for them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bundle/error.h"
#include "trust/trust_root.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const trust::UnverifiedRoot root = trust::parse_root(text, "input");
    if (trust::count_root_signatures(root, root.metadata) > root.signatures.size()) {
      __builtin_trap();
    }
    const trust::TrustRoot accepted = trust::TrustRoot::load(text, "input");
    if (!accepted.matches(accepted.fingerprint())) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
