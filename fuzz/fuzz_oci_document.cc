// Manifests, indexes and image configs: anything but Error is a bug.
#include "bundle/error.h"
#include "oci/document.h"

namespace {

template <typename Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const bundle::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle::oci;
  const bundle::ByteView bytes(data, size);
  attempt([&] { make_manifest(parse_manifest(bytes, media_type::kManifest, "input")); });
  attempt([&] { parse_index(bytes, media_type::kIndex, "input"); });
  attempt([&] { sniff_media_type(bytes, "input"); });
  attempt([&] { config_platform(bytes, "input"); });
  return 0;
}
