// Corrections of a deflate stream: what the coder takes apart it must give back, and wrong
// corrections end in an error, never in more than that.
#include <cstddef>

#include "bundle/error.h"
#include "codec/token_coder.h"

using namespace bundle;

namespace {

class CountingSink final : public Sink {
 public:
  void write(ByteView bytes) override { size_ += bytes.size(); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

// The input is a deflate stream.
void take_apart(ByteView stream) {
  codec::TokenCoder coder(codec::TokenModel{});
  const std::size_t cut = stream.size() / 2;
  if (!coder.feed(stream.first(cut)) || !coder.feed(stream.subspan(cut))) return;
  static_cast<void>(coder.finish());  // proves itself: a piece that differs is a refusal
}

// The input is what precedes the plain bytes, and those.
void put_together(ByteView bytes) {
  CountingSink out;
  try {
    const auto encoder = codec::make_token_encoder(codec::TokenModel{}, out);
    encoder->write(bytes);
    encoder->finish();
  } catch (const Error&) {
  }
  // Any block is described, and any token coded, in less than this.
  if (out.size() > (bytes.size() + 16) * 1024) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 64 * 1024) return 0;
  const ByteView bytes = ByteView(data, size).subspan(1);
  if (data[0] % 2 == 0) {
    take_apart(bytes);
  } else {
    put_together(bytes);
  }
  return 0;
}
