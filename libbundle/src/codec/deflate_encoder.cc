#include "codec/deflate_encoder.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>

#include "bundle/error.h"

namespace bundle::codec {
namespace {

constexpr int kRawWindowBits = -15;
constexpr std::size_t kOutputBuffer = 64 * 1024;

class ZlibEncoder final : public DeflateEncoder {
 public:
  ZlibEncoder(int level, int mem_level, int strategy, Sink& out) : out_(out) {
    if (deflateInit2(&stream_, level, Z_DEFLATED, kRawWindowBits, mem_level, strategy) != Z_OK) {
      throw Error(ErrorCode::recipe_invalid, "zlib refuses the encoder parameters of a recipe");
    }
  }
  ~ZlibEncoder() override { deflateEnd(&stream_); }
  ZlibEncoder(const ZlibEncoder&) = delete;
  ZlibEncoder& operator=(const ZlibEncoder&) = delete;

  void write(ByteView bytes) override { run(bytes, Z_NO_FLUSH); }
  void finish() override { run({}, Z_FINISH); }

 private:
  void run(ByteView bytes, int flush) {
    stream_.next_in = const_cast<Bytef*>(bytes.data());  // zlib's API predates const
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = buffer_.data();
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      if (deflate(&stream_, flush) == Z_STREAM_ERROR) {
        throw Error(ErrorCode::internal, "zlib lost its state");
      }
      out_.write(ByteView(buffer_).first(buffer_.size() - stream_.avail_out));
    } while (stream_.avail_out == 0);
  }

  Sink& out_;
  z_stream stream_{};
  std::array<std::uint8_t, kOutputBuffer> buffer_{};
};

constexpr std::array kLevelsBySlowness = {6, 9, 1, 5, 4, 7, 8, 3, 2};

}  // namespace

EncoderSpec zlib_spec(int level, int mem_level, int strategy) {
  return {kZlibFamily,
          {static_cast<std::uint8_t>(level), static_cast<std::uint8_t>(mem_level),
           static_cast<std::uint8_t>(strategy)}};
}

std::string describe(const EncoderSpec& spec) {
  if (spec.family == kZlibFamily && spec.params.size() == 3) {
    return fmt::format("zlib level {}, memLevel {}", spec.params[0], spec.params[1]);
  }
  return fmt::format("encoder family {}", spec.family);
}

std::unique_ptr<DeflateEncoder> make_encoder(const EncoderSpec& spec, Sink& out) {
  if (spec.family != kZlibFamily) {
    throw Error(ErrorCode::unsupported,
                fmt::format("a recipe needs deflate encoder family {}, which this program lacks",
                            spec.family),
                "Use the newer bundle-import that came with the release.");
  }
  const bool valid = spec.params.size() == 3 && spec.params[0] >= 1 && spec.params[0] <= 9 &&
                     spec.params[1] >= 1 && spec.params[1] <= 9 && spec.params[2] <= Z_FIXED;
  if (!valid) throw Error(ErrorCode::recipe_invalid, "a recipe has bad zlib parameters");
  return std::make_unique<ZlibEncoder>(spec.params[0], spec.params[1], spec.params[2], out);
}

std::vector<EncoderSpec> encoder_candidates(std::uint8_t xfl) {
  std::vector<EncoderSpec> specs;
  if (xfl == 2) specs.push_back(zlib_spec(9, 8, Z_DEFAULT_STRATEGY));
  if (xfl == 4) specs.push_back(zlib_spec(1, 8, Z_DEFAULT_STRATEGY));
  for (const int mem_level : {8, 9}) {
    for (const int level : kLevelsBySlowness) {
      const EncoderSpec spec = zlib_spec(level, mem_level, Z_DEFAULT_STRATEGY);
      if (specs.empty() || specs.front() != spec) specs.push_back(spec);
    }
  }
  return specs;
}

}  // namespace bundle::codec
