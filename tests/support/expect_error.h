// Expectations about bundle::Error.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "bundle/error.h"

namespace bundle::testing {

// The error that `call` throws; nothing when it throws none.
template <typename Call>
std::optional<Error> error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

// Checks code and hint: every error must tell what to do next.
template <typename Call>
Error expect_error(ErrorCode code, Call&& call) {
  const std::optional<Error> error = error_of(call);
  if (!error) {
    ADD_FAILURE() << "no error where " << error_name(code) << " was expected";
    return Error(ErrorCode::internal, "");
  }
  EXPECT_EQ(error_name(error->code()), error_name(code)) << error->message();
  EXPECT_FALSE(error->message().empty());
  EXPECT_FALSE(error->hint().empty()) << error->message();
  return *error;
}

}  // namespace bundle::testing
