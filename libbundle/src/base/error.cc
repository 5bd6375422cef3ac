#include "bundle/error.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bundle {
namespace {

constexpr auto kCodes = std::to_array<ErrorCodeInfo>({
#define BUNDLE_ERROR_ROW(name, exit_code, meaning) {ErrorCode::name, #name, meaning},
    BUNDLE_ERROR_CODES(BUNDLE_ERROR_ROW)
#undef BUNDLE_ERROR_ROW
});

}  // namespace

std::span<const ErrorCodeInfo> error_codes() {
  return kCodes;
}

std::string_view error_name(ErrorCode code) {
  const auto* row = std::ranges::find(kCodes, code, &ErrorCodeInfo::code);
  return row == kCodes.end() ? "internal" : row->name;
}

Error::Error(ErrorCode code, std::string message, std::string hint)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

}  // namespace bundle
