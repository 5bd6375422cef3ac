// Corrections of a deflate stream: what the coder takes apart it must give back, and wrong
// corrections end in an error, never in more than that. Parts of a stream: any bytes to learn from
// and any flushes give the bits that were asked for, or an error.
#include <cstddef>

#include "bundle/error.h"
#include "codec/encoder_match.h"
#include "codec/stream_parts.h"
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

const std::vector<codec::EncoderSpec>& specs() {
  static const std::vector<codec::EncoderSpec> all = {
      codec::go_spec(1),         codec::go_spec(2),
      codec::go_spec(6),         codec::klauspost_spec(1),
      codec::klauspost_spec(3),  codec::klauspost_spec(5),
      codec::klauspost_spec(9),  codec::pgzip_spec(5, 32 << 10),
      codec::zlib_spec(1, 1, 0), codec::zlib_spec(6, 8, 0),
      codec::zlib_spec(6, 9, 3), codec::pigz_spec(6, 32 << 10, true)};
  return all;
}

// The input: encoder, phase, bytes to learn (2), bits (2), flush (2), the plain bytes.
void encode_part(ByteView bytes) {
  constexpr std::size_t kHead = 8;
  if (bytes.size() < kHead) return;
  codec::PartInput input;
  input.spec = specs()[bytes[0] % specs().size()];
  input.phase = bytes[1] % 8;
  input.learn = load_le<std::uint16_t>(bytes.data() + 2);
  input.bits = 1 + load_le<std::uint16_t>(bytes.data() + 4);
  input.plain.assign(bytes.begin() + kHead, bytes.end());
  const std::uint64_t flush = load_le<std::uint16_t>(bytes.data() + 6);
  if (flush != 0 && flush <= input.plain.size())
    input.flushes.push_back({flush, static_cast<codec::DeflateEncoder::Flush>(flush & 1)});
  try {
    const Bytes made = codec::encode_part(input);
    if (made.size() != (input.phase + input.bits + 7) / 8) __builtin_trap();
  } catch (const Error&) {
  }
}

// What an encoder makes, with some bytes changed, is given back or refused.
void follow(ByteView bytes) {
  if (bytes.size() < 4) return;
  const codec::EncoderSpec& spec = specs()[bytes[0] % specs().size()];
  const std::size_t place = load_le<std::uint16_t>(bytes.data() + 1);
  Bytes plain;
  while (plain.size() < (300U << 10)) plain.insert(plain.end(), bytes.begin(), bytes.end());
  MemorySink out(1 << 20);
  const auto encoder = codec::make_encoder(spec, out);
  encoder->write(plain);
  encoder->finish();
  Bytes stream = out.take();
  if (!stream.empty()) stream[place % stream.size()] ^= bytes[3];
  codec::EncoderMatch match({{spec}});
  match.deflate(stream);
  match.plain(plain);
  static_cast<void>(match.finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 64 * 1024) return 0;
  const ByteView bytes = ByteView(data, size).subspan(1);
  switch (data[0] % 4) {
    case 0:
      take_apart(bytes);
      break;
    case 1:
      put_together(bytes);
      break;
    case 2:
      encode_part(bytes);
      break;
    default:
      follow(bytes);
  }
  return 0;
}
