#include "codec/stream_parts.h"

#include <algorithm>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kFeedStep = 16 << 10;

// Keeps what is wanted, drops the rest.
class PartSink final : public Sink {
 public:
  explicit PartSink(std::uint64_t bits) : wanted_(static_cast<std::size_t>((bits + 7) / 8)) {}
  void write(ByteView bytes) override {
    bytes = bytes.first(std::min(bytes.size(), wanted_ - bytes_.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  bool is_full() const { return bytes_.size() == wanted_; }
  Bytes take() { return std::move(bytes_); }

 private:
  std::size_t wanted_;
  Bytes bytes_;
};

}  // namespace

std::uint64_t learning_start(const RestartRule& rule, std::span<const FlushAt> flushes,
                             std::uint64_t start) {
  if (start <= rule.before) return 0;
  const std::uint64_t latest = start - rule.before;
  std::uint64_t base = 0;
  for (const FlushAt& flush : flushes) {
    const bool counts = rule.from_flush || flush.kind == DeflateEncoder::Flush::full;
    if (counts && flush.plain <= latest) base = std::max(base, flush.plain);
  }
  return base + (latest - base) / rule.unit * rule.unit;
}

bool can_start(const RestartRule& rule, std::span<const FlushAt> flushes, std::uint64_t start) {
  std::uint64_t base = 0;
  for (const FlushAt& flush : flushes) {
    if (rule.from_flush && flush.plain <= start) base = std::max(base, flush.plain);
  }
  return (start - base) % rule.block == 0;
}

Bytes encode_part(const PartInput& input) {
  PartSink out(input.phase + input.bits);
  const auto encoder = make_encoder(input.spec, out);
  if (input.learn != 0) encoder->begin_after(input.learn, input.phase);
  auto flush = input.flushes.begin();
  for (std::size_t done = 0; done < input.plain.size() && !out.is_full();) {
    std::size_t end = std::min(input.plain.size(), done + kFeedStep);
    if (flush != input.flushes.end()) end = std::min<std::size_t>(end, flush->plain);
    encoder->write(ByteView(input.plain).subspan(done, end - done));
    done = end;
    if (flush != input.flushes.end() && flush->plain == done) encoder->flush(flush++->kind);
    encoder->drain();
  }
  if (!out.is_full()) encoder->finish();
  if (!out.is_full()) {
    throw Error(ErrorCode::recipe_invalid, "a part of a deflate stream has too few bits",
                "The bundle was made wrong: ask the vendor for a new one.");
  }
  Bytes bytes = out.take();
  const auto used = static_cast<unsigned>((input.phase + input.bits) % 8);
  if (used != 0) bytes.back() &= static_cast<std::uint8_t>((1u << used) - 1);
  return bytes;
}

void PartJoiner::add(Bytes bytes, std::uint64_t bits) {
  if (bytes.empty()) return;
  bytes.front() |= open_;
  bits_ += bits;
  open_ = 0;
  if (bits_ % 8 != 0) {
    open_ = bytes.back();
    bytes.pop_back();
  }
  out_.write(bytes);
}

}  // namespace bundle::codec
