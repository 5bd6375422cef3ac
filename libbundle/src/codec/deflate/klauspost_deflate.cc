#include "codec/deflate/klauspost_deflate.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <utility>

#include "codec/deflate/klauspost_block_writer.h"
#include "codec/deflate/klauspost_chain.h"
#include "codec/deflate/klauspost_parsers.h"

namespace bundle::codec {

class KlauspostDeflate::Encoder {
 public:
  virtual ~Encoder() = default;
  virtual void write(std::span<const uint8_t> plain) = 0;
  virtual void flush() = 0;
  virtual void finish() = 0;
  virtual void reset(std::span<const uint8_t> dictionary) = 0;
  virtual void begin_after(uint64_t plain, unsigned phase) = 0;
  virtual BlockStart last_block() const = 0;
  virtual void drain() = 0;
};

namespace {

using klauspost::BlockWriter;
using klauspost::Parse;
using klauspost::TreeStyle;

/// Cuts the input into blocks of 65535 bytes; a shorter one only when flushing.
template <class BlockParser>
class FastEncoder final : public KlauspostDeflate::Encoder {
 public:
  FastEncoder(ByteSink sink, TreeStyle trees) : blocks_(std::move(sink), kPenaltyShift, trees) {}

  void write(std::span<const uint8_t> plain) override {
    while (!plain.empty()) {
      if (size_ == kMaxStoredBytes) encode(false);
      const size_t part = std::min(plain.size(), kMaxStoredBytes - size_);
      std::memcpy(block() + size_, plain.data(), part);
      size_ += part;
      plain = plain.subspan(part);
    }
  }
  void flush() override {
    const bool silent = is_learning();
    encode(true);
    if (!silent) blocks_.flush();
  }
  void finish() override {
    encode(true);
    blocks_.finish();
  }
  void reset(std::span<const uint8_t> dictionary) override {
    forget();
    learn(dictionary);
  }
  /// `plain` is a multiple of the block size, or where a flush was.
  void begin_after(uint64_t plain, unsigned phase) override {
    learned_ = plain;
    blocks_.bits().begin(phase);
  }
  BlockStart last_block() const override { return last_block_; }
  void drain() override { blocks_.bits().drain(); }

 private:
  static constexpr unsigned kPenaltyShift = 7;
  static constexpr size_t kBefore = 8;  // readable before the oldest history
  static constexpr size_t kTinyBlock = 128;
  static constexpr size_t kStoredBlock = 32;
  static constexpr size_t kShortestParsed = 13;
  static constexpr uint32_t kFirstBase = 2 * kMaxDistance;
  static constexpr uint32_t kRebaseAt = 1u << 30;

  uint8_t* block() { return buffer_ + kBefore + history_; }
  /// Whether what is made of this block is dropped.
  bool is_learning() const { return done_ < learned_; }

  void encode(bool last) {
    if (size_ == 0) return;
    const uint64_t begun = blocks_.blocks_begun();
    const uint64_t start = done_;
    const bool learning = is_learning();
    done_ += size_;
    if (size_ < kTinyBlock) {  // only when flushing
      if (!learning) write_tiny({block(), size_});
      forget();
    } else {
      make_room();
      parse();
      if (!learning) write(last);
      keep();
    }
    if (blocks_.blocks_begun() != begun) last_block_ = {start, blocks_.block_bit()};
  }
  void write_tiny(std::span<const uint8_t> plain) {
    if (plain.size() <= kStoredBlock) {
      blocks_.write_stored(plain);
    } else {
      blocks_.write_literals(plain, true);
    }
  }
  void write(bool last) {
    const std::span<const uint8_t> plain(block(), size_);
    const Parse parsed = parser_.result();
    if (parsed.token_count == 0) {
      blocks_.write_stored(plain);
    } else if (parsed.token_count > size_ - (size_ >> 4)) {
      blocks_.write_literals(plain, last);
    } else {
      blocks_.write_dynamic(parsed, last);
    }
  }
  void parse() {
    if (base_ >= kRebaseAt) {
      parser_.move_places(base_ - kFirstBase);
      base_ = kFirstBase;
    }
    parser_.parse({block(), size_}, history_, base_);
  }
  void make_room() {
    if (history_ + size_ <= BlockParser::kHistoryBytes) return;
    uint8_t* const kept = block() - kMaxDistance;
    std::memmove(buffer_ + kBefore, kept, kMaxDistance + size_);
    history_ = kMaxDistance;
  }
  void learn(std::span<const uint8_t> dictionary) {
    if (dictionary.empty()) return;
    dictionary = dictionary.last(std::min<size_t>(dictionary.size(), kMaxDistance));
    size_ = dictionary.size();
    std::memcpy(block(), dictionary.data(), size_);
    if (size_ >= kShortestParsed) parse();
    keep();
  }
  /// The block becomes history of the next one.
  void keep() {
    history_ += static_cast<uint32_t>(size_);
    base_ += static_cast<uint32_t>(size_);
    size_ = 0;
  }
  void forget() {
    history_ = 0;
    size_ = 0;
    base_ += kMaxDistance;
  }

  BlockWriter blocks_;
  uint32_t base_ = kFirstBase;
  uint32_t history_ = 0;
  size_t size_ = 0;
  uint64_t done_ = 0;     // bytes before the block
  uint64_t learned_ = 0;  // bytes to learn from
  BlockStart last_block_;
  BlockParser parser_;
  uint8_t buffer_[kBefore + BlockParser::kHistoryBytes + kMaxStoredBytes + 16] = {};
};

/// Levels 7 to 9.
class ChainEncoder final : public KlauspostDeflate::Encoder {
 public:
  ChainEncoder(ByteSink sink, const klauspost::ChainSettings& settings,
               const klauspost::ChainVersion& version)
      : parser_(settings, version, std::move(sink)) {}

  void write(std::span<const uint8_t> plain) override { parser_.write(plain); }
  void flush() override { parser_.flush(); }
  void finish() override { parser_.finish(); }
  void reset(std::span<const uint8_t> dictionary) override { parser_.reset(dictionary); }
  void begin_after(uint64_t plain, unsigned phase) override { parser_.begin_after(plain, phase); }
  BlockStart last_block() const override { return parser_.last_block(); }
  void drain() override { parser_.drain(); }

 private:
  klauspost::ChainParser parser_;
};

constexpr std::array<klauspost::ChainSettings, 3> kChainLevels = {
    {{12, 16, 24}, {30, 40, 64}, {258, 258, 1024}}};

std::unique_ptr<KlauspostDeflate::Encoder> make_encoder(int level, ByteSink sink,
                                                        KlauspostVersion version) {
  using Version = KlauspostVersion;
  const bool newer = version == Version::v1_19 || version == Version::v1_20;
  const TreeStyle trees = newer ? TreeStyle::kTrimmed : TreeStyle::kFull;
  const auto fast = [&]<class BlockParser>() -> std::unique_ptr<KlauspostDeflate::Encoder> {
    return std::make_unique<FastEncoder<BlockParser>>(std::move(sink), trees);
  };
  switch (level) {
    case 1:
      return fast.template operator()<klauspost::Level12Parser<1>>();
    case 2:
      return fast.template operator()<klauspost::Level12Parser<2>>();
    case 3:
      return fast.template operator()<klauspost::Level3Parser>();
    case 4:
      if (version == Version::v1_15)
        return fast.template operator()<klauspost::Level4Parser<false>>();
      return fast.template operator()<klauspost::Level4Parser<true>>();
    case -1:
    case 5:
      return fast.template operator()<klauspost::Level56Parser<5>>();
    case 6:
      return fast.template operator()<klauspost::Level56Parser<6>>();
    default:
      break;
  }
  assert(level >= 7 && level <= 9);
  constexpr uint32_t kOldSample = 65536;
  constexpr uint32_t kNewSample = 32768;
  return std::make_unique<ChainEncoder>(
      std::move(sink), kChainLevels[static_cast<size_t>(level - 7)],
      klauspost::ChainVersion{trees, newer ? kNewSample : kOldSample, version != Version::v1_20});
}

}  // namespace

KlauspostDeflate::KlauspostDeflate(int level, ByteSink sink, KlauspostVersion version,
                                   std::span<const uint8_t> dictionary)
    : encoder_(make_encoder(level, std::move(sink), version)) {
  if (!dictionary.empty()) encoder_->reset(dictionary);
}
KlauspostDeflate::~KlauspostDeflate() = default;
KlauspostDeflate::KlauspostDeflate(KlauspostDeflate&&) noexcept = default;
KlauspostDeflate& KlauspostDeflate::operator=(KlauspostDeflate&&) noexcept = default;

bool KlauspostDeflate::is_valid_level(int level) {
  return level == -1 || (level >= 1 && level <= 9);
}

void KlauspostDeflate::write(std::span<const uint8_t> plain) {
  encoder_->write(plain);
}
void KlauspostDeflate::flush() {
  encoder_->flush();
}
void KlauspostDeflate::finish() {
  encoder_->finish();
}
void KlauspostDeflate::reset(std::span<const uint8_t> dictionary) {
  encoder_->reset(dictionary);
}

void KlauspostDeflate::begin_after(uint64_t plain, unsigned phase) {
  encoder_->begin_after(plain, phase);
}
BlockStart KlauspostDeflate::last_block() const {
  return encoder_->last_block();
}
void KlauspostDeflate::drain() {
  encoder_->drain();
}

PgzipDeflate::PgzipDeflate(int level, ByteSink sink, size_t block_bytes, KlauspostVersion version)
    : encoder_(
          level,
          [this, sink = std::move(sink)](std::span<const uint8_t> bytes) {
            made_ += bytes.size();
            sink(bytes);
          },
          version),
      block_bytes_(block_bytes),
      tail_(std::make_unique<uint8_t[]>(kDictionaryBytes)) {}

void PgzipDeflate::begin_after(uint64_t plain, unsigned /*phase*/) {
  learned_ = plain;
}

void PgzipDeflate::write(std::span<const uint8_t> plain) {
  if (learned_ > 0) {
    const auto part = plain.first(std::min<size_t>(plain.size(), learned_));
    keep_tail(part);
    learned_ -= part.size();
    done_ += part.size();
    if (learned_ == 0) {
      encoder_.reset({tail_.get(), std::exchange(tail_size_, 0)});
      last_block_ = {done_, 0};
    }
    plain = plain.subspan(part.size());
  }
  while (!plain.empty()) {
    const auto part = plain.first(std::min(plain.size(), block_bytes_ - in_block_));
    encoder_.write(part);
    keep_tail(part);
    in_block_ += part.size();
    if (in_block_ == block_bytes_) end_block();
    plain = plain.subspan(part.size());
  }
}

void PgzipDeflate::keep_tail(std::span<const uint8_t> part) {
  const auto end = part.last(std::min(part.size(), kDictionaryBytes));
  const size_t kept = std::min(tail_size_, kDictionaryBytes - end.size());
  std::memmove(tail_.get(), tail_.get() + tail_size_ - kept, kept);
  std::memcpy(tail_.get() + kept, end.data(), end.size());
  tail_size_ = kept + end.size();
}

void PgzipDeflate::flush() {
  end_block();
}

void PgzipDeflate::finish() {
  encoder_.flush();
  encoder_.finish();
}

void PgzipDeflate::end_block() {
  encoder_.flush();
  // A block no longer than the dictionary leaves none.
  encoder_.reset({tail_.get(), in_block_ > kDictionaryBytes ? kDictionaryBytes : 0});
  done_ += in_block_;
  last_block_ = {done_, made_ * 8};
  in_block_ = 0;
  tail_size_ = 0;
}

}  // namespace bundle::codec
