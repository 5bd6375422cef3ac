// Where an encoder's output has left the original: what EncoderMatch knows until it has found on.
#pragma once

#include "codec/deflate/block_reader.h"
#include "codec/stream_parts.h"

namespace bundle::codec {

struct EncoderMender {
  EncoderSpec spec;
  BlockStart start;             // everything before was made
  std::uint64_t good_bits = 0;  // of the stream: made, but not whole blocks
  BlockReader reader;           // of the original, from first_bit on
  std::uint64_t first_bit = 0;
  std::uint64_t fed = 0;     // bytes of the original before what it is to be fed next
  BlockStart next;           // the block that it gives next
  std::uint64_t broken = 0;  // blocks from `start` to `next` that the encoder does not make
};

}  // namespace bundle::codec
