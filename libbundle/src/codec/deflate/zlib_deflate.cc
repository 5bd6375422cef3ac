#include "codec/deflate/zlib_deflate.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "bundle/error.h"
#include "crypto/digest.h"

namespace bundle::codec {
namespace {

constexpr int kRawWindowBits = -15;
constexpr size_t kOutputBuffer = 64 * 1024;

}  // namespace

struct ZlibDeflate::State {
  explicit State(ByteSink to) : sink(std::move(to)) {}
  ByteSink sink;
  z_stream stream{};
  std::array<uint8_t, kOutputBuffer> buffer{};
};

ZlibDeflate::ZlibDeflate(int level, ByteSink sink, int mem_level, int strategy)
    : state_(std::make_unique<State>(std::move(sink))) {
  if (deflateInit2(&state_->stream, level, Z_DEFLATED, kRawWindowBits, mem_level, strategy) !=
      Z_OK) {
    throw Error(ErrorCode::recipe_invalid, "zlib refuses the encoder parameters of a recipe");
  }
}
ZlibDeflate::~ZlibDeflate() {
  deflateEnd(&state_->stream);
}

void ZlibDeflate::write(std::span<const uint8_t> plain) {
  run(plain, Z_NO_FLUSH);
}
void ZlibDeflate::finish() {
  run({}, Z_FINISH);
}

void ZlibDeflate::run(std::span<const uint8_t> plain, int flush) {
  z_stream& stream = state_->stream;
  do {
    const auto part = plain.first(std::min<size_t>(plain.size(), std::numeric_limits<uInt>::max()));
    plain = plain.subspan(part.size());
    stream.next_in = const_cast<Bytef*>(part.data());  // zlib's API predates const
    stream.avail_in = static_cast<uInt>(part.size());
    do {
      stream.next_out = state_->buffer.data();
      stream.avail_out = static_cast<uInt>(kOutputBuffer);
      if (deflate(&stream, plain.empty() ? flush : Z_NO_FLUSH) == Z_STREAM_ERROR) {
        throw Error(ErrorCode::internal, "zlib lost its state");
      }
      const size_t made = kOutputBuffer - stream.avail_out;
      if (made != 0) state_->sink({state_->buffer.data(), made});
    } while (stream.avail_out == 0);
  } while (!plain.empty());
}

PigzDeflate::PigzDeflate(int level, ByteSink sink, size_t block_bytes, bool independent)
    : zlib_(level, std::move(sink), 8, Z_DEFAULT_STRATEGY),
      block_bytes_(block_bytes),
      independent_(independent),
      tail_(std::make_unique<uint8_t[]>(kDictionaryBytes)) {}

void PigzDeflate::write(std::span<const uint8_t> plain) {
  while (!plain.empty()) {
    if (in_block_ == block_bytes_) end_block();  // only now it is known not to be the last one
    const auto part = plain.first(std::min(plain.size(), block_bytes_ - in_block_));
    zlib_.write(part);
    const auto end = part.last(std::min(part.size(), kDictionaryBytes));
    const size_t kept = std::min(tail_size_, kDictionaryBytes - end.size());
    std::memmove(tail_.get(), tail_.get() + tail_size_ - kept, kept);
    std::memcpy(tail_.get() + kept, end.data(), end.size());
    tail_size_ = kept + end.size();
    in_block_ += part.size();
    plain = plain.subspan(part.size());
  }
}

void PigzDeflate::finish() {
  zlib_.finish();
}

/// Goes to a byte boundary with empty fixed blocks when that is possible: they take ten bits each.
void PigzDeflate::end_block() {
  z_stream& stream = zlib_.state_->stream;
  zlib_.run({}, Z_BLOCK);
  int bits = 0;
  deflatePending(&stream, nullptr, &bits);
  if ((bits & 1) != 0 || independent_) {
    zlib_.run({}, Z_SYNC_FLUSH);
  } else if ((bits & 7) != 0) {
    do {
      constexpr int kEmptyFixedBlockBits = 10;
      constexpr int kEmptyFixedBlock = 2;
      deflatePrime(&stream, kEmptyFixedBlockBits, kEmptyFixedBlock);
      deflatePending(&stream, nullptr, &bits);
    } while ((bits & 7) != 0);
    zlib_.run({}, Z_BLOCK);
  }
  if (independent_) zlib_.run({}, Z_FULL_FLUSH);
  deflateReset(&stream);
  if (!independent_) deflateSetDictionary(&stream, tail_.get(), static_cast<uInt>(tail_size_));
  in_block_ = 0;
}

namespace {

/// Words, runs, binary records and noise, so that every matcher has work.
std::vector<uint8_t> make_sample() {
  constexpr size_t kSize = 96 * 1024;
  uint32_t state = 1;
  const auto next = [&state] { return (state = state * 1664525 + 1013904223) >> 8; };
  std::vector<uint8_t> sample;
  while (sample.size() < kSize) {
    const uint32_t kind = next() % 8;
    const uint32_t length = 1 + next() % 40;
    if (kind < 5) {
      uint32_t word = next() % 600 * 2654435761u;
      for (uint32_t i = 0; i < 2 + length % 8; ++i, word = word * 31 + 7) {
        sample.push_back(static_cast<uint8_t>('a' + (word >> 16) % 26));
      }
      sample.push_back(' ');
    } else if (kind == 5) {
      sample.insert(sample.end(), length * 9, static_cast<uint8_t>(next()));
    } else if (kind == 6 && sample.size() > 1000) {
      const size_t from = sample.size() - 1 - next() % std::min<size_t>(sample.size() - 1, 40000);
      for (uint32_t i = 0; i < length * 3; ++i) sample.push_back(sample[from + i]);
    } else {
      for (uint32_t i = 0; i < length; ++i) sample.push_back(static_cast<uint8_t>(next()));
    }
  }
  return sample;
}

}  // namespace

Digest zlib_sample_digest() {
  const std::vector<uint8_t> sample = make_sample();
  Sha256 hash;
  const auto add = [&](int level, int mem_level, int strategy) {
    ZlibDeflate encoder(
        level, [&hash](std::span<const uint8_t> bytes) { hash.write(bytes); }, mem_level, strategy);
    encoder.write(sample);
    encoder.finish();
  };
  for (int level = 1; level <= 9; ++level) add(level, 8, Z_DEFAULT_STRATEGY);
  for (const int strategy : {Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED}) add(6, 8, strategy);
  add(6, 9, Z_DEFAULT_STRATEGY);
  add(6, 1, Z_DEFAULT_STRATEGY);
  return hash.finish();
}

std::string zlib_build() {
  return zlibVersion();
}

}  // namespace bundle::codec
