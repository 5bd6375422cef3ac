#include "codec/deflate_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/deflate/go_deflate.h"
#include "codec/deflate/klauspost_deflate.h"
#include "codec/deflate/pigz_deflate.h"
#include "codec/deflate/zlib_deflate.h"
#include "codec/token_coder.h"

namespace bundle::codec {
namespace {

// The encoders of codec/deflate/ behind the same interface.
template <typename Encoder>
class ReplayEncoder final : public DeflateEncoder {
 public:
  template <typename... Settings>
  explicit ReplayEncoder(Sink& out, int level, Settings... settings)
      : encoder_(
            level, [&out](ByteView bytes) { out.write(bytes); }, settings...) {}

  void write(ByteView bytes) override { encoder_.write(bytes); }
  void finish() override { encoder_.finish(); }
  void flush(Flush kind) override {
    if constexpr (std::is_same_v<Encoder, ZlibDeflate>) {
      encoder_.flush(kind == Flush::full ? ZlibDeflate::Flush::full : ZlibDeflate::Flush::sync);
    } else if constexpr (requires(Encoder & encoder) { encoder.flush(); }) {
      encoder_.flush();
    } else {
      DeflateEncoder::flush(kind);
    }
  }
  void begin_after(std::uint64_t plain, unsigned phase) override {
    encoder_.begin_after(plain, phase);
  }
  BlockStart last_block() const override { return encoder_.last_block(); }
  void drain() override { encoder_.drain(); }

 private:
  Encoder encoder_;
};

constexpr std::array kZlibLevels = {6, 9, 1, 5, 4, 7, 8, 3, 2};  // the usual ones first
constexpr std::array kGoLevels = {6, 1, 9, 5, 4, 7, 8, 3, 2};
constexpr std::array kKlauspostLevels = {5, 6, 1, 9, 3, 7, 8, 4, 2};
constexpr int kMaxLevel = 9;
constexpr int kMaxMemLevel = 9;
constexpr int kDefaultStrategy = 0;
constexpr int kFiltered = 1;
constexpr int kHuffmanOnly = 2;
constexpr int kRunLength = 3;
constexpr int kFixedCodes = 4;
constexpr std::size_t kBlockParams = 5;  // level and block size
constexpr std::uint32_t kMinPgzipBlock = 32 << 10;
constexpr std::uint32_t kMaxBlock = 64 << 20;
constexpr std::uint32_t kPigzBlock = 128 << 10;

Bytes level_param(int level) {
  return {static_cast<std::uint8_t>(level)};
}
Bytes block_params(int level, std::uint32_t block_bytes) {
  Bytes params(kBlockParams);
  params[0] = static_cast<std::uint8_t>(level);
  store_le(params.data() + 1, block_bytes);
  return params;
}

[[noreturn]] void bad_params(std::string_view name) {
  throw Error(ErrorCode::recipe_invalid, fmt::format("a recipe has bad {} parameters", name),
              "The bundle was made wrong: ask the vendor for a new one.");
}

// A version follows the other parameters unless it is 1.18.0.
KlauspostVersion version_param(const Bytes& params, std::size_t at, std::string_view name) {
  if (params.size() == at) return KlauspostVersion::v1_18;
  const auto last = static_cast<std::uint8_t>(KlauspostVersion::v1_20);
  if (params.size() != at + 1 || params[at] == 0 || params[at] > last) bad_params(name);
  return static_cast<KlauspostVersion>(params[at]);
}
void add_version(Bytes& params, KlauspostVersion version) {
  if (version != KlauspostVersion::v1_18) params.push_back(static_cast<std::uint8_t>(version));
}

std::uint32_t block_param(const Bytes& params, std::uint32_t least, std::string_view name) {
  if (params.size() < kBlockParams) bad_params(name);
  const auto block = load_le<std::uint32_t>(params.data() + 1);
  if (block < least || block > kMaxBlock) bad_params(name);
  return block;
}

void check_level(const Bytes& params, std::string_view name) {
  if (params.empty() || params[0] < 1 || params[0] > kMaxLevel) bad_params(name);
}

std::unique_ptr<DeflateEncoder> make_zlib(const Bytes& params, Sink& out) {
  check_level(params, "zlib");
  const bool valid =
      params.size() == 3 && params[1] >= 1 && params[1] <= kMaxMemLevel && params[2] <= kFixedCodes;
  if (!valid) bad_params("zlib");
  return std::make_unique<ReplayEncoder<ZlibDeflate>>(out, params[0], int{params[1]},
                                                      int{params[2]});
}

std::unique_ptr<DeflateEncoder> make_pigz(const Bytes& params, Sink& out) {
  check_level(params, "pigz");
  const std::uint32_t block = block_param(params, PigzDeflate::kDictionaryBytes, "pigz");
  if (params.size() != kBlockParams + 1 || params.back() > 1) bad_params("pigz");
  return std::make_unique<ReplayEncoder<PigzDeflate>>(out, params[0], std::size_t{block},
                                                      params.back() == 1);
}

std::unique_ptr<DeflateEncoder> make_go(const Bytes& params, Sink& out) {
  if (params.size() != 1 || params[0] < 1 || params[0] > kMaxLevel) bad_params("Go flate");
  return std::make_unique<ReplayEncoder<GoDeflate>>(out, params[0]);
}

std::unique_ptr<DeflateEncoder> make_klauspost(const Bytes& params, Sink& out) {
  check_level(params, "klauspost");
  return std::make_unique<ReplayEncoder<KlauspostDeflate>>(out, params[0],
                                                           version_param(params, 1, "klauspost"));
}

std::unique_ptr<DeflateEncoder> make_pgzip(const Bytes& params, Sink& out) {
  check_level(params, "pgzip");
  const std::uint32_t block = block_param(params, kMinPgzipBlock, "pgzip");
  return std::make_unique<ReplayEncoder<PgzipDeflate>>(
      out, params[0], std::size_t{block}, version_param(params, kBlockParams, "pgzip"));
}

// Collects candidates, each once.
class Tier {
 public:
  void add(EncoderSpec spec) {
    if (std::ranges::find(specs_, spec) == specs_.end()) specs_.push_back(std::move(spec));
  }
  std::vector<EncoderSpec> take() { return std::move(specs_); }

 private:
  std::vector<EncoderSpec> specs_;
};

void add_usual_zlib(Tier& tier) {
  for (const int level : kZlibLevels) tier.add(zlib_spec(level, 8, kDefaultStrategy));
  for (const int level : kZlibLevels) tier.add(pigz_spec(level, kPigzBlock, false));
  for (const int level : kZlibLevels) tier.add(zlib_spec(level, 9, kDefaultStrategy));
}

std::vector<EncoderSpec> usual_candidates(std::uint8_t xfl) {
  Tier tier;
  if (xfl == 2) tier.add(zlib_spec(9, 8, kDefaultStrategy));
  if (xfl == 4) tier.add(zlib_spec(1, 8, kDefaultStrategy));
  for (const int level : kGoLevels) tier.add(go_spec(level));
  for (const auto version : {KlauspostVersion::v1_18, KlauspostVersion::v1_19}) {
    for (const int level : kKlauspostLevels) {
      tier.add(pgzip_spec(level, PgzipDeflate::kDefaultBlockBytes, version));
      tier.add(klauspost_spec(level, version));
    }
  }
  add_usual_zlib(tier);
  tier.add(pgzip_spec(4, PgzipDeflate::kDefaultBlockBytes, KlauspostVersion::v1_15));
  tier.add(klauspost_spec(4, KlauspostVersion::v1_15));
  return tier.take();
}

void add_unusual_zlib(Tier& tier) {
  for (const int mem_level : {9, 8}) {
    for (const int strategy : {kFiltered, kFixedCodes}) {
      for (const int level : kZlibLevels) tier.add(zlib_spec(level, mem_level, strategy));
    }
    for (const int strategy : {kHuffmanOnly, kRunLength})
      tier.add(zlib_spec(6, mem_level, strategy));
  }
  for (int mem_level = 7; mem_level >= 1; --mem_level) {
    for (const int level : kZlibLevels) tier.add(zlib_spec(level, mem_level, kDefaultStrategy));
  }
  for (const int level : {6, 9}) {
    for (const std::uint32_t kib : {128U, 64U}) {
      for (const bool independent : {false, true})
        tier.add(pigz_spec(level, kib << 10, independent));
    }
  }
}

std::vector<EncoderSpec> unusual_candidates() {
  Tier tier;
  for (const int level : {7, 8, 9}) {
    tier.add(pgzip_spec(level, PgzipDeflate::kDefaultBlockBytes, KlauspostVersion::v1_20));
  }
  add_unusual_zlib(tier);
  return tier.take();
}

}  // namespace

EncoderSpec zlib_spec(int level, int mem_level, int strategy) {
  return {kZlibFamily,
          {static_cast<std::uint8_t>(level), static_cast<std::uint8_t>(mem_level),
           static_cast<std::uint8_t>(strategy)}};
}
EncoderSpec go_spec(int level) {
  return {kGoFamily, level_param(level)};
}
EncoderSpec klauspost_spec(int level, KlauspostVersion version) {
  Bytes params = level_param(level);
  add_version(params, version);
  return {kKlauspostFamily, std::move(params)};
}
EncoderSpec pgzip_spec(int level, std::uint32_t block_bytes, KlauspostVersion version) {
  Bytes params = block_params(level, block_bytes);
  add_version(params, version);
  return {kPgzipFamily, std::move(params)};
}
EncoderSpec pigz_spec(int level, std::uint32_t block_bytes, bool independent) {
  Bytes params = block_params(level, block_bytes);
  params.push_back(independent ? 1 : 0);
  return {kPigzFamily, std::move(params)};
}

bool is_first_klauspost(const EncoderSpec& spec) {
  const bool level = spec.params[0] == 1 || spec.params[0] == 5 || spec.params[0] == 6;
  const std::size_t without_version = spec.family == kKlauspostFamily ? 1 : kBlockParams;
  return level && spec.params.size() == without_version;
}

std::string describe(const EncoderSpec& spec) {
  const Bytes& params = spec.params;
  const int level = params.empty() ? 0 : params[0];
  switch (spec.family) {
    case kZlibFamily:
      if (params.size() != 3) return "zlib";
      return fmt::format("zlib level {}, memLevel {}, strategy {}", level, params[1], params[2]);
    case kGoFamily:
      return fmt::format("Go compress/flate level {}", level);
    case kKlauspostFamily:
      return fmt::format("klauspost/compress level {}, version {}", level,
                         params.size() > 1 ? params[1] : 0);
    case kPgzipFamily:
      return fmt::format("pgzip level {}, version {}", level,
                         params.size() > kBlockParams ? params[kBlockParams] : 0);
    case kPigzFamily:
      return fmt::format("pigz level {}", level);
    case kTokenFamily:
      return "predicted tokens";
    default:
      return fmt::format("encoder family {}", spec.family);
  }
}

void DeflateEncoder::flush(Flush) {
  bad_params("flush");
}
void DeflateEncoder::begin_after(std::uint64_t, unsigned) {
  bad_params("restart");
}

RestartRule restart_rule(const EncoderSpec& spec) {
  constexpr std::uint64_t kHalfWindow = 32 << 10;
  constexpr std::uint64_t kFastBlock = 65535;
  constexpr RestartRule kFast = {kFastBlock, 2 * kFastBlock, true, kFastBlock};
  constexpr RestartRule kLazy = {kHalfWindow, 40 << 10, false, 1};
  constexpr RestartRule kGreedy = {kHalfWindow, 128 << 10, false, 1};
  if (spec.params.empty()) return {};
  const int level = spec.params[0];
  switch (spec.family) {
    case kZlibFamily:
      return level <= 3 ? kGreedy : kLazy;
    case kGoFamily:
      return level == 1 ? kFast : level <= 3 ? kGreedy : kLazy;
    case kKlauspostFamily:
      // Level 4 of some versions looks at what it forgot long ago.
      if (level == 4) return {};
      return level <= 6 ? kFast : kLazy;
    case kPgzipFamily:
      return {1, PgzipDeflate::kDictionaryBytes, false,
              block_param(spec.params, kMinPgzipBlock, "pgzip")};
    case kPigzFamily:
      return {1, PigzDeflate::kDictionaryBytes, false,
              block_param(spec.params, PigzDeflate::kDictionaryBytes, "pigz")};
    default:
      return {};
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
    case kPigzFamily:
      return make_pigz(spec.params, out);
    case kTokenFamily:
      return make_token_encoder(parse_token_model(spec.params), out);
    default:
      throw Error(ErrorCode::unsupported,
                  fmt::format("a recipe needs deflate encoder family {}, which this program lacks",
                              spec.family),
                  "Use the newer bundle-import that came with the release.");
  }
}

unsigned replay_cost(const EncoderSpec& spec) {
  constexpr std::array kGo = {7U, 10U, 10U, 11U, 16U, 20U, 25U, 50U, 75U};
  constexpr std::array kKlauspost = {8U, 8U, 9U, 11U, 13U, 15U, 17U, 30U, 60U};
  constexpr std::array kZlib = {12U, 13U, 16U, 16U, 22U, 35U, 45U, 100U, 125U};
  if (spec.family == kTokenFamily) {  // as the level of zlib that it is like
    const unsigned chain = parse_token_model(spec.params).max_chain;
    return chain <= 32 ? 25 : chain <= 128 ? 45 : chain <= 256 ? 60 : 140;
  }
  const std::size_t level = spec.params.empty() ? 6 : spec.params[0];
  if (level < 1 || level > kMaxLevel) return 0;
  switch (spec.family) {
    case kGoFamily:
      return kGo[level - 1];
    case kKlauspostFamily:
    case kPgzipFamily:
      return kKlauspost[level - 1];
    default:
      return kZlib[level - 1];
  }
}

CandidateTiers encoder_candidates(std::uint8_t xfl) {
  return {usual_candidates(xfl), unusual_candidates()};
}

}  // namespace bundle::codec
