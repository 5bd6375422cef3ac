#include "codec/deflate/zlib_trees.h"

#include <algorithm>
#include <utility>

#include "codec/deflate/huffman_code.h"

namespace bundle::codec {
namespace {

constexpr size_t kMaxSymbols = kLiteralSymbols;
constexpr size_t kMaxNodes = 2 * kMaxSymbols + 1;
constexpr unsigned kMaxCodeLength = 15;
constexpr unsigned kMaxHeaderCodeLength = 7;

/// One tree. Nodes above the symbols are inner ones.
class Tree {
 public:
  Tree(std::span<const uint32_t> counts, unsigned max_length) : max_length_(max_length) {
    int last = -1;
    const auto add = [&](int symbol, uint32_t weight) {
      weight_[static_cast<size_t>(symbol)] = weight;
      heap_[++heap_size_] = static_cast<uint16_t>(symbol);
    };
    for (size_t symbol = 0; symbol < counts.size(); ++symbol) {
      if (counts[symbol] != 0) add(last = static_cast<int>(symbol), counts[symbol]);
    }
    while (heap_size_ < 2) add(last < 2 ? ++last : 0, 1);  // at least two codes
    last_ = static_cast<size_t>(last);
    join(counts.size());
    limit_lengths();
  }

  size_t last() const { return last_; }  // the last symbol with a code
  uint8_t length(size_t symbol) const { return symbol <= last_ ? length_[symbol] : uint8_t{0}; }

 private:
  bool before(size_t left, size_t right) const {
    return weight_[left] != weight_[right] ? weight_[left] < weight_[right]
                                           : depth_[left] <= depth_[right];
  }
  void sift(size_t hole) {
    const uint16_t node = heap_[hole];
    for (size_t child = 2 * hole; child <= heap_size_; child *= 2) {
      if (child < heap_size_ && before(heap_[child + 1], heap_[child])) ++child;
      if (before(node, heap_[child])) break;
      heap_[hole] = heap_[child];
      hole = child;
    }
    heap_[hole] = node;
  }
  void join(size_t next) {
    for (size_t i = heap_size_ / 2; i >= 1; --i) sift(i);
    do {
      const uint16_t least = heap_[1];
      heap_[1] = heap_[heap_size_--];
      sift(1);
      const uint16_t second = heap_[1];
      order_.push_back(least);
      order_.push_back(second);
      weight_[next] = weight_[least] + weight_[second];
      depth_[next] = static_cast<uint8_t>(std::max(depth_[least], depth_[second]) + 1);
      parent_[least] = parent_[second] = static_cast<uint16_t>(next);
      heap_[1] = static_cast<uint16_t>(next++);
      sift(1);
    } while (heap_size_ >= 2);
    order_.push_back(heap_[1]);
    std::reverse(order_.begin(), order_.end());  // heaviest first, the root in front
  }
  void limit_lengths() {
    std::array<uint32_t, kMaxCodeLength + 1> counts{};
    int overflow = 0;
    length_[order_[0]] = 0;
    for (size_t i = 1; i < order_.size(); ++i) {
      const uint16_t node = order_[i];
      unsigned bits = length_[parent_[node]] + 1u;
      if (bits > max_length_) {
        bits = max_length_;
        ++overflow;
      }
      length_[node] = static_cast<uint8_t>(bits);
      if (node <= last_) ++counts[bits];
    }
    if (overflow == 0) return;
    for (; overflow > 0; overflow -= 2) {
      unsigned bits = max_length_ - 1;
      while (counts[bits] == 0) --bits;
      --counts[bits];
      counts[bits + 1] += 2;
      --counts[max_length_];
    }
    size_t i = order_.size();
    for (unsigned bits = max_length_; bits > 0; --bits) {
      for (uint32_t left = counts[bits]; left > 0;) {
        const uint16_t node = order_[--i];
        if (node > last_) continue;
        length_[node] = static_cast<uint8_t>(bits);
        --left;
      }
    }
  }

  const unsigned max_length_;
  size_t last_ = 0;
  size_t heap_size_ = 0;
  std::array<uint32_t, kMaxNodes> weight_{};
  std::array<uint8_t, kMaxNodes> depth_{};
  std::array<uint8_t, kMaxNodes> length_{};
  std::array<uint16_t, kMaxNodes> parent_{};
  std::array<uint16_t, kMaxNodes + 1> heap_{};
  std::vector<uint16_t> order_;
};

struct Item {
  uint8_t symbol;
  uint8_t repeat;
};

/// Run lengths of the code lengths of one tree.
void add_items(const Tree& tree, std::vector<Item>& items) {
  const auto add = [&items](unsigned symbol, unsigned repeat) {
    items.push_back({static_cast<uint8_t>(symbol), static_cast<uint8_t>(repeat)});
  };
  unsigned previous = 256;
  for (size_t i = 0; i <= tree.last();) {
    const unsigned length = tree.length(i);
    const unsigned longest = length == 0 ? 138 : length == previous ? 6 : 7;
    const unsigned shortest = length == 0 || length == previous ? 3 : 4;
    unsigned count = 0;
    while (i <= tree.last() && count < longest && tree.length(i) == length) ++i, ++count;
    if (count < shortest) {
      for (; count > 0; --count) add(length, 0);
    } else if (length != 0) {
      if (length != previous) {
        add(length, 0);
        --count;
      }
      add(16, count - 3);
    } else if (count <= 10) {
      add(17, count - 3);
    } else {
      add(18, count - 11);
    }
    previous = length;
  }
}

void describe(const Tree& literals, const Tree& distances, BitString& out) {
  std::vector<Item> items;
  add_items(literals, items);
  add_items(distances, items);
  std::array<uint32_t, kHeaderSymbols> counts{};
  for (const Item& item : items) ++counts[item.symbol];
  const Tree header(counts, kMaxHeaderCodeLength);
  std::array<uint8_t, kHeaderSymbols> lengths{};
  for (size_t i = 0; i < kHeaderSymbols; ++i) lengths[i] = header.length(i);
  std::array<CodeWord, kHeaderSymbols> codes;
  assign_code_words(lengths, codes);
  size_t order_count = kHeaderSymbols;
  while (order_count > 4 && lengths[kHeaderOrder[order_count - 1]] == 0) --order_count;
  out.add(static_cast<uint32_t>(literals.last() - 256), 5);
  out.add(static_cast<uint32_t>(distances.last()), 5);
  out.add(static_cast<uint32_t>(order_count - 4), 4);
  for (size_t i = 0; i < order_count; ++i) out.add(lengths[kHeaderOrder[i]], 3);
  for (const Item& item : items) {
    out.add(codes[item.symbol].bits, codes[item.symbol].length);
    if (item.symbol >= 16) out.add(item.repeat, item.symbol == 16 ? 2 : item.symbol == 17 ? 3 : 7);
  }
}

}  // namespace

void BitString::add(uint32_t value, unsigned length) {
  for (unsigned i = 0; i < length; ++i, ++size) {
    if (size % 8 == 0) bytes.push_back(0);
    bytes.back() = static_cast<uint8_t>(bytes.back() | (value >> i & 1) << size % 8);
  }
}

CodeLengths zlib_code_lengths(std::span<const uint32_t> literals,
                              std::span<const uint32_t> distances, BitString& description) {
  const Tree literal_tree(literals, kMaxCodeLength);
  const Tree distance_tree(distances, kMaxCodeLength);
  CodeLengths lengths;
  for (size_t i = 0; i < kLiteralSymbols; ++i) lengths.literals[i] = literal_tree.length(i);
  for (size_t i = 0; i < kDistanceSymbols; ++i) lengths.distances[i] = distance_tree.length(i);
  describe(literal_tree, distance_tree, description);
  return lengths;
}

}  // namespace bundle::codec
