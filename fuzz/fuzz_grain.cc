// The scanner for disk grains must hand out every byte of its input once, whatever pieces it comes
// in.
#include <algorithm>
#include <cstddef>

#include "codec/grain_scanner.h"

using namespace bundle;

namespace {

class Joiner final : public codec::GrainVisitor {
 public:
  void on_other(ByteView bytes) override { add(bytes); }
  void on_grain(ByteView deflate, ByteView plain) override {
    add(deflate);
    ++grains;
    if (deflate.size() > codec::GrainScanner::kMaxPacked) __builtin_trap();
    if (plain.size() > codec::GrainScanner::kMaxPlain) __builtin_trap();
  }
  Bytes joined;
  std::size_t grains = 0;

 private:
  void add(ByteView bytes) { joined.insert(joined.end(), bytes.begin(), bytes.end()); }
};

Joiner scan(ByteView input, std::size_t step) {
  Joiner joiner;
  codec::GrainScanner scanner(joiner);
  for (; !input.empty(); input = input.subspan(std::min(step, input.size())))
    scanner.write(input.first(std::min(step, input.size())));
  scanner.finish();
  return joiner;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 256 * 1024) return 0;
  const ByteView input(data + 1, size - 1);
  const Joiner whole = scan(input, input.size() + 1);
  const Joiner cut = scan(input, 1 + 97 * std::size_t{data[0]});
  if (whole.joined != Bytes(input.begin(), input.end())) __builtin_trap();
  if (cut.joined != whole.joined || cut.grains != whole.grains) __builtin_trap();
  return 0;
}
