#include "codec/deflate/block_reader.h"

#include <algorithm>
#include <cstring>

#include "codec/deflate/deflate_format.h"
#include "codec/deflate/huffman_code.h"

namespace bundle::codec {
namespace {

constexpr unsigned kTableBits = 15;

/// All words of 15 bits: symbol and code length of the code that they begin with.
using Table = std::array<uint16_t, size_t{1} << kTableBits>;

void fill_table(std::span<const CodeWord> codes, Table& table) {
  table.fill(0);
  for (size_t symbol = 0; symbol < codes.size(); ++symbol) {
    const CodeWord code = codes[symbol];
    if (code.length == 0) continue;
    const auto entry = static_cast<uint16_t>(symbol << 4 | code.length);
    for (size_t word = code.bits; word < table.size(); word += size_t{1} << code.length) {
      table[word] = entry;
    }
  }
}
template <size_t kSize>
void fill_table(const std::array<uint8_t, kSize>& lengths, Table& table) {
  std::array<CodeWord, kSize> codes;
  assign_code_words(lengths, codes);
  fill_table(codes, table);
}

}  // namespace

struct BlockReader::Tables {
  Table literals;
  Table distances;
};

/// A position in the buffer. Reads zeros past its end and remembers that.
class BlockReader::Bits {
 public:
  Bits(std::span<const uint8_t> bytes, size_t bit) : bytes_(bytes), bit_(bit) {}

  bool past_end() const { return bit_ > bytes_.size() * 8; }
  size_t position() const { return bit_; }

  uint32_t peek() const {  // 32 bits
    const size_t at = bit_ / 8;
    uint64_t value = 0;
    if (at + 8 <= bytes_.size()) {
      value = load_le64(bytes_.data() + at);
    } else {
      for (size_t i = at; i < bytes_.size() && i < at + 8; ++i) {
        value |= uint64_t{bytes_[i]} << 8 * (i - at);
      }
    }
    return static_cast<uint32_t>(value >> bit_ % 8);
  }
  void skip(unsigned count) { bit_ += count; }
  uint32_t read(unsigned count) {
    const uint32_t value = peek() & ((1u << count) - 1);
    bit_ += count;
    return value;
  }
  /// False when a padding bit is set.
  bool align() {
    const auto count = static_cast<unsigned>((8 - bit_ % 8) % 8);
    return read(count) == 0;
  }
  std::span<const uint8_t> take(size_t count) {
    const size_t at = bit_ / 8;
    bit_ += count * 8;
    return past_end() ? std::span<const uint8_t>() : bytes_.subspan(at, count);
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t bit_;
};

BlockReader::BlockReader() : tables_(std::make_unique<Tables>()) {}
BlockReader::~BlockReader() = default;

void BlockReader::begin(unsigned bit, std::span<const uint8_t> history) {
  bit_ = bit;
  keep_history(history);
}

void BlockReader::feed(std::span<const uint8_t> compressed) {
  buffer_.insert(buffer_.end(), compressed.begin(), compressed.end());
}

BlockReader::Status BlockReader::next(DeflateBlock& block) {
  if (ended_) return buffer_.empty() ? Status::end : Status::refused;
  Bits bits(buffer_, bit_);
  block = {};
  block.final_block = bits.read(1) != 0;
  const uint32_t type = bits.read(2);
  if (bits.past_end()) return Status::need_more;
  if (type > 2) return Status::refused;
  block.type = static_cast<BlockType>(type);
  const Status status =
      block.type == BlockType::stored ? read_stored(bits, block) : read_tokens(bits, block);
  if (bits.past_end()) return Status::need_more;  // what was read there are not the stream's bits
  if (status != Status::block) return status;
  ended_ = block.final_block;
  if (ended_ && !bits.align()) return Status::refused;
  keep_history(block.plain);
  bits_read_ += bits.position() - bit_;
  buffer_.erase(buffer_.begin(),
                buffer_.begin() + static_cast<std::ptrdiff_t>(bits.position() / 8));
  bit_ = static_cast<unsigned>(bits.position() % 8);
  return Status::block;
}

BlockReader::Status BlockReader::read_stored(Bits& bits, DeflateBlock& block) {
  if (!bits.align()) return Status::refused;
  const uint32_t size = bits.read(16);
  if ((size ^ bits.read(16)) != 0xffff) return Status::refused;
  const auto bytes = bits.take(size);
  block.plain.assign(bytes.begin(), bytes.end());
  return Status::block;
}

BlockReader::Status BlockReader::read_tokens(Bits& bits, DeflateBlock& block) {
  if (block.type == BlockType::fixed) {
    fill_table(fixed_literal_code(), tables_->literals);
    fill_table(fixed_distance_code(), tables_->distances);
  } else {
    CodeLengths lengths;
    const auto read = [&](unsigned count) {
      const uint32_t value = bits.read(count);
      block.description.add(value, count);
      return value;
    };
    if (!read_code_lengths(read, lengths)) return Status::refused;
    fill_table(lengths.literals, tables_->literals);
    fill_table(lengths.distances, tables_->distances);
  }
  std::vector<uint8_t>& plain = block.plain;
  while (!bits.past_end()) {
    const uint16_t entry = tables_->literals[bits.peek() & (tables_->literals.size() - 1)];
    if (entry == 0) return Status::refused;
    bits.skip(entry & 15);
    const uint32_t symbol = entry >> 4;
    if (symbol == kEndOfBlock) return Status::block;
    if (block.tokens.size() == kMaxTokens || plain.size() + kMaxMatch > kMaxPlain) {
      return Status::refused;
    }
    if (symbol < kEndOfBlock) {
      block.tokens.push_back(Token::literal(static_cast<uint8_t>(symbol)));
      plain.push_back(static_cast<uint8_t>(symbol));
      continue;
    }
    const size_t length_index = symbol - kFirstLengthSymbol;
    const uint32_t length_less_3 =
        kFirstLengths[length_index] + bits.read(kLengthExtraBits[length_index]);
    if (length_less_3 == kMaxMatch - kMinMatch && length_index + 1 != kLengthSymbols) {
      return Status::refused;
    }
    const uint16_t far = tables_->distances[bits.peek() & (tables_->distances.size() - 1)];
    if (far == 0) return Status::refused;
    bits.skip(far & 15);
    const uint32_t distance_index = far >> 4;
    const uint32_t distance =
        kFirstDistances[distance_index] + bits.read(distance_extra_bits(distance_index)) + 1;
    if (distance > history_.size() + plain.size()) return Status::refused;
    block.tokens.push_back(Token::match(length_less_3, distance - 1, distance_index));
    for (uint32_t left = length_less_3 + kMinMatch; left > 0; --left) {
      plain.push_back(distance <= plain.size()
                          ? plain[plain.size() - distance]
                          : history_[history_.size() + plain.size() - distance]);
    }
  }
  return Status::need_more;
}

void BlockReader::keep_history(std::span<const uint8_t> plain) {
  plain = plain.last(std::min<size_t>(plain.size(), kMaxDistance));
  const size_t kept = std::min(history_.size(), kMaxDistance - plain.size());
  history_.erase(history_.begin(), history_.end() - static_cast<std::ptrdiff_t>(kept));
  history_.insert(history_.end(), plain.begin(), plain.end());
}

}  // namespace bundle::codec
