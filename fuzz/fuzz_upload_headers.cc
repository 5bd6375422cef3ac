// What a registry answers while a blob is pushed into it: Range, OCI-Chunk-Min-Length and Location,
// one a line in this order.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "bundle/error.h"
#include "transfer/http_url.h"
#include "transfer/upload_headers.h"

using bundle::transfer::Url;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = [&text] {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
  };
  const std::string_view range = line();
  const auto kept = bundle::transfer::kept_bytes(range);
  if (kept && *kept != 0 && range.find_first_of("123456789") == std::string_view::npos)
    std::abort();
  if (bundle::transfer::least_chunk_bytes(line()) != 0 && size == 0) std::abort();
  static const Url base = Url::parse("https://registry.example.com/v2/app/blobs/uploads/", "base");
  try {
    const Url next = base.resolve(text, "Location");
    if (next.scheme != "http" && next.scheme != "https") std::abort();
    if (next.host.empty() || next.target.empty() || next.target.front() != '/') std::abort();
    // What is sent is what was looked at.
    const Url again = Url::parse(next.text(), "again");
    if (again.origin() != next.origin() || again.target != next.target) std::abort();
  } catch (const bundle::Error&) {
  }
  return 0;
}
