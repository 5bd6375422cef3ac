#include "codec/deflate/pigz_deflate.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bundle::codec {
namespace {

constexpr int kMemLevel = 8;
constexpr int kDefaultStrategy = 0;

}  // namespace

PigzDeflate::PigzDeflate(int level, ByteSink sink, size_t block_bytes, bool independent)
    : zlib_(
          level,
          [this, sink = std::move(sink)](std::span<const uint8_t> bytes) {
            made_ += bytes.size();
            sink(bytes);
          },
          kMemLevel, kDefaultStrategy),
      block_bytes_(block_bytes),
      independent_(independent),
      tail_(std::make_unique<uint8_t[]>(kDictionaryBytes)) {}

void PigzDeflate::write(std::span<const uint8_t> plain) {
  if (learned_ > 0) {
    const auto part = plain.first(std::min<size_t>(plain.size(), learned_));
    keep_tail(part);
    learned_ -= part.size();
    done_ += part.size();
    if (learned_ == 0) {
      zlib_.reset(dictionary());
      last_block_ = {done_, 0};
    }
    plain = plain.subspan(part.size());
  }
  while (!plain.empty()) {
    if (in_block_ == block_bytes_) end_block();  // only now it is known not to be the last one
    const auto part = plain.first(std::min(plain.size(), block_bytes_ - in_block_));
    zlib_.write(part);
    keep_tail(part);
    in_block_ += part.size();
    plain = plain.subspan(part.size());
  }
}

void PigzDeflate::begin_after(uint64_t plain, unsigned /*phase*/) {
  learned_ = plain;
}

void PigzDeflate::keep_tail(std::span<const uint8_t> part) {
  const auto end = part.last(std::min(part.size(), kDictionaryBytes));
  const size_t kept = std::min(tail_size_, kDictionaryBytes - end.size());
  std::memmove(tail_.get(), tail_.get() + tail_size_ - kept, kept);
  std::memcpy(tail_.get() + kept, end.data(), end.size());
  tail_size_ = kept + end.size();
}

std::span<const uint8_t> PigzDeflate::dictionary() const {
  if (independent_) return {};
  return {tail_.get(), tail_size_};
}

void PigzDeflate::finish() {
  zlib_.finish();
}

/// Goes to a byte boundary with empty fixed blocks when that is possible: they take ten bits each.
void PigzDeflate::end_block() {
  zlib_.flush(ZlibDeflate::Flush::block);
  if ((zlib_.pending_bits() & 1) != 0 || independent_) {
    zlib_.flush(ZlibDeflate::Flush::sync);
  } else {
    while (zlib_.pending_bits() != 0) zlib_.add_empty_block();
  }
  if (independent_) zlib_.flush(ZlibDeflate::Flush::full);
  zlib_.drain();
  zlib_.reset(dictionary());
  done_ += in_block_;
  in_block_ = 0;
  last_block_ = {done_, made_ * 8};
}

}  // namespace bundle::codec
