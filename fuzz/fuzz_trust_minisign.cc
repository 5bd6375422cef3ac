// minisign files: signatures and public keys come from any medium. The first byte chooses the kind.
// Secret keys are read without their password, which would cost seconds of scrypt.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bundle/error.h"
#include "crypto/minisign.h"

namespace {

using namespace bundle;

void read(std::uint8_t kind, std::string_view text) {
  if (kind % 3 == 0) {
    const auto signature = MinisignSignature::parse(text, "input");
    const std::string written = signature.text();
    if (MinisignSignature::parse(written, "again").text() != written) __builtin_trap();
  } else if (kind % 3 == 1) {
    const auto key = MinisignPublicKey::parse(text, "input");
    if (MinisignPublicKey::parse(key.text(), "again") != key) __builtin_trap();
  } else if (!MinisignSecretKey::is_encrypted(text, "input")) {
    MinisignSecretKey::parse(text, {}, "input");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const Error&) {
  }
  return 0;
}
