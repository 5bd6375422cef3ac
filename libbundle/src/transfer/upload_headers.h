// What a registry says about an upload that is under way. The texts are an attacker's.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bundle::transfer {

// How many bytes the registry has, of its header Range: "0-1023", some write "bytes=0-1023".
// Nothing when it does not say. An empty upload is "0-0", too (distribution writes so).
std::optional<std::uint64_t> kept_bytes(std::string_view range);

// The header OCI-Chunk-Min-Length: the least length of a chunk but the last one that the registry
// takes; 0: any.
std::uint64_t least_chunk_bytes(std::string_view text);

}  // namespace bundle::transfer
