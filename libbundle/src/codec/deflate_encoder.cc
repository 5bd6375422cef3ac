#include "codec/deflate_encoder.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/deflate/go_deflate.h"
#include "codec/deflate/klauspost_deflate.h"

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

// The encoders of codec/deflate/ behind the same interface.
template <typename Encoder>
class ReplayEncoder final : public DeflateEncoder {
 public:
  template <typename... Settings>
  explicit ReplayEncoder(Sink& out, int level, Settings... settings)
      : encoder_(level, [&out](ByteView bytes) { out.write(bytes); }, settings...) {}

  void write(ByteView bytes) override { encoder_.write(bytes); }
  void finish() override { encoder_.finish(); }

 private:
  Encoder encoder_;
};

constexpr std::array kZlibLevels = {6, 9, 1, 5, 4, 7, 8, 3, 2};  // the usual ones first
constexpr std::array kGoLevels = {6, 1, 9, 5, 4, 7, 8, 3, 2};
constexpr std::array kKlauspostLevels = {5, 6, 1};
constexpr int kMaxLevel = 9;
constexpr std::size_t kPgzipParams = 5;
constexpr std::uint32_t kMinPgzipBlock = 32 << 10;
constexpr std::uint32_t kMaxPgzipBlock = 64 << 20;

Bytes level_param(int level) { return {static_cast<std::uint8_t>(level)}; }

[[noreturn]] void bad_params(std::string_view name) {
  throw Error(ErrorCode::recipe_invalid, fmt::format("a recipe has bad {} parameters", name),
              "The bundle was made wrong: ask the vendor for a new one.");
}

std::unique_ptr<DeflateEncoder> make_zlib(const Bytes& params, Sink& out) {
  const bool valid = params.size() == 3 && params[0] >= 1 && params[0] <= kMaxLevel &&
                     params[1] >= 1 && params[1] <= MAX_MEM_LEVEL && params[2] <= Z_FIXED;
  if (!valid) bad_params("zlib");
  return std::make_unique<ZlibEncoder>(params[0], params[1], params[2], out);
}

std::unique_ptr<DeflateEncoder> make_go(const Bytes& params, Sink& out) {
  if (params.size() != 1 || params[0] < 1 || params[0] > kMaxLevel) bad_params("Go flate");
  return std::make_unique<ReplayEncoder<GoDeflate>>(out, params[0]);
}

std::unique_ptr<DeflateEncoder> make_klauspost(const Bytes& params, Sink& out) {
  if (params.size() != 1 || !KlauspostDeflate::is_valid_level(params[0])) bad_params("klauspost");
  return std::make_unique<ReplayEncoder<KlauspostDeflate>>(out, params[0]);
}

std::unique_ptr<DeflateEncoder> make_pgzip(const Bytes& params, Sink& out) {
  if (params.size() != kPgzipParams || !KlauspostDeflate::is_valid_level(params[0])) bad_params("pgzip");
  const auto block = load_le<std::uint32_t>(params.data() + 1);
  if (block < kMinPgzipBlock || block > kMaxPgzipBlock) bad_params("pgzip");
  return std::make_unique<ReplayEncoder<PgzipDeflate>>(out, params[0], std::size_t{block});
}

}  // namespace

EncoderSpec zlib_spec(int level, int mem_level, int strategy) {
  return {kZlibFamily,
          {static_cast<std::uint8_t>(level), static_cast<std::uint8_t>(mem_level),
           static_cast<std::uint8_t>(strategy)}};
}
EncoderSpec go_spec(int level) { return {kGoFamily, level_param(level)}; }
EncoderSpec klauspost_spec(int level) { return {kKlauspostFamily, level_param(level)}; }
EncoderSpec pgzip_spec(int level, std::uint32_t block_bytes) {
  Bytes params(kPgzipParams);
  params[0] = static_cast<std::uint8_t>(level);
  store_le(params.data() + 1, block_bytes);
  return {kPgzipFamily, std::move(params)};
}

std::string describe(const EncoderSpec& spec) {
  const int level = spec.params.empty() ? 0 : spec.params[0];
  switch (spec.family) {
    case kZlibFamily:
      return fmt::format("zlib level {}", level);
    case kGoFamily:
      return fmt::format("Go compress/flate level {}", level);
    case kKlauspostFamily:
      return fmt::format("klauspost/compress level {}", level);
    case kPgzipFamily:
      return fmt::format("pgzip level {}", level);
    default:
      return fmt::format("encoder family {}", spec.family);
  }
}

std::unique_ptr<DeflateEncoder> make_encoder(const EncoderSpec& spec, Sink& out) {
  switch (spec.family) {
    case kZlibFamily:
      return make_zlib(spec.params, out);
    case kGoFamily:
      return make_go(spec.params, out);
    case kKlauspostFamily:
      return make_klauspost(spec.params, out);
    case kPgzipFamily:
      return make_pgzip(spec.params, out);
    default:
      throw Error(ErrorCode::unsupported,
                  fmt::format("a recipe needs deflate encoder family {}, which this program lacks",
                              spec.family),
                  "Use the newer bundle-import that came with the release.");
  }
}

std::vector<EncoderSpec> encoder_candidates(std::uint8_t xfl) {
  std::vector<EncoderSpec> specs;
  const auto add = [&specs](EncoderSpec spec) {
    if (std::ranges::find(specs, spec) == specs.end()) specs.push_back(std::move(spec));
  };
  if (xfl == 2) add(zlib_spec(9, 8, Z_DEFAULT_STRATEGY));
  if (xfl == 4) add(zlib_spec(1, 8, Z_DEFAULT_STRATEGY));
  for (const int level : kGoLevels) add(go_spec(level));
  for (const int level : kKlauspostLevels) {
    add(pgzip_spec(level, PgzipDeflate::kDefaultBlockBytes));
    add(klauspost_spec(level));
  }
  for (const int mem_level : {8, 9}) {
    for (const int level : kZlibLevels) add(zlib_spec(level, mem_level, Z_DEFAULT_STRATEGY));
  }
  return specs;
}

}  // namespace bundle::codec
