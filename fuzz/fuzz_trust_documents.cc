// The signed documents behind their signatures: a stolen key must not become a crash. The first
// byte chooses the kind. What is accepted has exactly one spelling.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bundle/error.h"
#include "trust/carrier.h"
#include "trust/origin_index.h"
#include "trust/pointer.h"
#include "trust/revocation.h"
#include "trust/statement.h"
#include "trust/time_statement.h"

namespace {

using namespace bundle;

std::string parse_and_encode(std::uint8_t kind, std::string_view text) {
  switch (kind % 8) {
    case 0:
      return trust::encode_statement(trust::parse_statement(text, "input"));
    case 1:
      return trust::encode_carrier(trust::parse_carrier(text, "input"));
    case 2:
      return trust::encode_pointer(trust::parse_pointer(text, "input"));
    case 4:
      return trust::encode_time(trust::parse_time_statement(text, "input"));
    case 5:
      return trust::encode_origin_index(trust::parse_origin_index(text, "input"));
    default:
      return trust::encode_revocations(trust::parse_revocations(text, "input"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string once;
  try {
    once = parse_and_encode(data[0], text);
  } catch (const Error&) {
    return 0;
  }
  // Unknown members are dropped, so the text itself may differ; the second round may not.
  if (parse_and_encode(data[0], once) != once) __builtin_trap();
  return 0;
}
