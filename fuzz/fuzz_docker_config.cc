// Credential files, and addresses as they stand in redirects.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "bundle/error.h"
#include "transfer/http_url.h"
#include "transfer/registry_credentials.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle::transfer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    DockerConfig::parse(text, "input");
  } catch (const bundle::Error& error) {
    if (error.code() != bundle::ErrorCode::config_invalid) std::abort();
  }
  try {
    static const Url kBase = Url::parse("https://registry.example.com/v2/a/blobs/b", "base");
    const Url url = kBase.resolve(text, "input");
    if (url.scheme != "http" && url.scheme != "https") std::abort();
    // What is sent is what was checked.
    if (Url::parse(url.text(), "again").origin() != url.origin()) std::abort();
  } catch (const bundle::Error& error) {
    if (error.code() != bundle::ErrorCode::usage) std::abort();
  }
  return 0;
}
