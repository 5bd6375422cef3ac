// Any bytes as JSON: a value or an Error, and a value survives being written and read again.
#include <cstdlib>

#include "codec/json.h"
#include "codec/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  const std::string_view text = as_text({data, size});
  try {
    const codec::Json value = codec::parse_json(text, "input", {.max_bytes = 64 * 1024});
    const std::string dumped = codec::dump_json(value);
    if (codec::dump_json(codec::parse_json(dumped, "dumped")) != dumped) std::abort();
    for (const std::string_view name : codec::builtin_schema_names()) {
      codec::describe(codec::Schema::builtin(name).check(value));
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) std::abort();
  }
  return 0;
}
