// Image names and platforms: what is accepted is written back as it was read.
#include <cstdlib>

#include "bundle/error.h"
#include "oci/descriptor.h"
#include "oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle::oci;
  const std::string_view text = bundle::as_text({data, size});
  try {
    if (ImageName::parse(text).text() != text) std::abort();
  } catch (const bundle::Error&) {
  }
  try {
    const ImageName full = ImageName::parse_short(text);
    if (ImageName::parse(full.text()) != full) std::abort();
  } catch (const bundle::Error&) {
  }
  try {
    if (Platform::parse(text).text() != text) std::abort();
  } catch (const bundle::Error&) {
  }
  return 0;
}
