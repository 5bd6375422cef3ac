// Any bytes as YAML: a document or an Error that names the file.
#include <cstdlib>

#include "codec/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  const std::string_view text = as_text({data, size});
  try {
    const codec::YamlDocument document =
        codec::parse_yaml(text, "input.yaml", ErrorCode::config_invalid, {.max_bytes = 64 * 1024});
    document.where("/images/0/name");
    const std::string dumped = codec::dump_json(document.root());
    if (codec::dump_json(codec::parse_json(dumped, "dumped")) != dumped) std::abort();
  } catch (const Error& error) {
    if (!error.message().starts_with("input.yaml")) std::abort();
  }
  return 0;
}
