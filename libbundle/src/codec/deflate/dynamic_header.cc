#include "codec/deflate/dynamic_header.h"

#include <algorithm>

namespace bundle::codec {
namespace {

constexpr unsigned kRepeatPrevious = 16;
constexpr unsigned kShortZeroRun = 17;
constexpr unsigned kLongZeroRun = 18;
constexpr unsigned kMaxHeaderCodeLength = 7;

constexpr unsigned repeat_bits(unsigned symbol) {
  if (symbol < kRepeatPrevious) return 0;
  return symbol == kRepeatPrevious ? 2 : symbol == kShortZeroRun ? 3 : 7;
}

}  // namespace

void DynamicHeader::add(unsigned symbol, unsigned repeat) {
  items_[item_count_++] = {static_cast<uint8_t>(symbol), static_cast<uint8_t>(repeat)};
  ++weights_[symbol];
}

void DynamicHeader::add_run(unsigned length, size_t count) {
  if (length == 0) {
    while (count >= 11) {
      const size_t part = std::min<size_t>(count, 138);
      add(kLongZeroRun, static_cast<unsigned>(part - 11));
      count -= part;
    }
    if (count >= 3) {
      add(kShortZeroRun, static_cast<unsigned>(count - 3));
      count = 0;
    }
  } else {
    add(length);
    --count;
    while (count >= 3) {
      const size_t part = std::min<size_t>(count, 6);
      add(kRepeatPrevious, static_cast<unsigned>(part - 3));
      count -= part;
    }
  }
  for (; count > 0; --count) add(length);
}

void DynamicHeader::plan(std::span<const CodeWord> literals, std::span<const CodeWord> distances) {
  item_count_ = 0;
  weights_.fill(0);
  literal_count_ = literals.size();
  distance_count_ = distances.size();
  unsigned run_length = literals[0].length;
  size_t run = 0;
  const auto take = [&](std::span<const CodeWord> words) {  // runs may cross from one to the other
    for (const CodeWord& word : words) {
      if (word.length != run_length) {
        add_run(run_length, run);
        run_length = word.length;
        run = 0;
      }
      ++run;
    }
  };
  take(literals);
  take(distances);
  add_run(run_length, run);

  build_huffman_code(weights_, kMaxHeaderCodeLength, codes_);
  order_count_ = kHeaderSymbols;
  while (order_count_ > 4 && weights_[kHeaderOrder[order_count_ - 1]] == 0) --order_count_;
  bits_ = 3 + 5 + 5 + 4 + 3 * order_count_ + coded_bits(weights_, codes_);
  for (unsigned symbol = kRepeatPrevious; symbol < kHeaderSymbols; ++symbol) {
    bits_ += uint64_t{weights_[symbol]} * repeat_bits(symbol);
  }
}

void DynamicHeader::write(BitWriter& writer, bool final_block) const {
  BitWriter::Cursor cursor = writer.open();
  cursor.add(final_block ? 5 : 4, 3);
  cursor.add(literal_count_ - 257, 5);
  cursor.add(distance_count_ - 1, 5);
  cursor.add(order_count_ - 4, 4);
  cursor.settle();
  for (size_t i = 0; i < order_count_; ++i) {
    cursor.add(codes_[kHeaderOrder[i]].length, 3);
    cursor.settle();
  }
  for (size_t i = 0; i < item_count_; ++i) {
    const Item& item = items_[i];
    const CodeWord& code = codes_[item.symbol];
    cursor.add(code.bits, code.length);
    cursor.add(item.repeat, repeat_bits(item.symbol));
    cursor.settle();
  }
  writer.close(cursor);
}

}  // namespace bundle::codec
