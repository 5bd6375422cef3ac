#include "codec/encoder_match.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "bundle/error.h"
#include "codec/gzip_parser.h"
#include "codec/zstd.h"

namespace bundle::codec {
namespace {

// Text with repetitions, so that levels differ.
Bytes sample_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::string> words;
  for (int i = 0; i < 400; ++i) {
    std::string word;
    for (unsigned k = 0; k < 3 + random() % 9; ++k)
      word.push_back(static_cast<char>('a' + random() % 26));
    words.push_back(word);
  }
  Bytes text;
  while (text.size() < size) {
    const std::string& word = words[random() % words.size()];
    text.insert(text.end(), word.begin(), word.end());
    text.push_back(random() % 9 == 0 ? '\n' : ' ');
  }
  text.resize(size);
  return text;
}

Bytes encode(const EncoderSpec& spec, ByteView plain, std::size_t step) {
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(spec, out);
  while (!plain.empty()) {
    const std::size_t part = std::min(step, plain.size());
    encoder->write(plain.first(part));
    plain = plain.subspan(part);
  }
  encoder->finish();
  return out.take();
}

std::optional<EncoderSpec> match(ByteView deflate, ByteView plain) {
  EncoderMatch matcher(encoder_candidates(0));
  matcher.deflate(deflate);
  while (!plain.empty()) {
    const std::size_t part = std::min<std::size_t>(100'000, plain.size());
    matcher.plain(plain.first(part));
    plain = plain.subspan(part);
  }
  return matcher.finish();
}

// Some of all candidates.
std::vector<EncoderSpec> sampled_candidates() {
  const CandidateTiers tiers = encoder_candidates(0);
  std::vector<EncoderSpec> sample;
  for (std::size_t i = 0; i < tiers[0].size(); i += 7) sample.push_back(tiers[0][i]);
  for (std::size_t i = 0; i < tiers[1].size(); i += 29) sample.push_back(tiers[1][i]);
  return sample;
}

TEST(EncoderMatch, FindsAnEncoderThatGivesTheStreamBack) {
  const Bytes plain = sample_text(1'100'000, 1);
  for (const EncoderSpec& spec : sampled_candidates()) {
    const Bytes original = encode(spec, plain, plain.size());
    const auto found = match(original, plain);
    ASSERT_TRUE(found.has_value()) << describe(spec);
    EXPECT_EQ(found->family, spec.family) << describe(spec) << " taken for " << describe(*found);
    EXPECT_EQ(encode(*found, plain, 777), original) << describe(spec);
  }
}

TEST(EncoderMatch, OutputDoesNotDependOnHowTheInputIsCut) {
  const Bytes plain = sample_text(400'000, 2);
  for (const EncoderSpec& spec : sampled_candidates()) {
    const Bytes whole = encode(spec, plain, plain.size());
    EXPECT_EQ(encode(spec, plain, 1), whole) << describe(spec);
    EXPECT_EQ(encode(spec, plain, 4096), whole) << describe(spec);
  }
}

// Feeds a match as a reader of gzip files does.
class Feeder final : public GzipVisitor {
 public:
  void on_header(ByteView) override {}
  void on_deflate(ByteView bytes) override { match.deflate(bytes); }
  void on_plain(ByteView bytes) override { match.plain(bytes); }
  void on_trailer(ByteView) override {}
  void on_rest(ByteView) override {}
  EncoderMatch match{encoder_candidates(0)};
};

// A first block after more than kMinProbe plain bytes: the start of the stream must not decide.
TEST(EncoderMatch, FindsTheLevelBehindALongRepetitiveStart) {
  Bytes plain(3'000'000, 0);
  const Bytes text = sample_text(700'000, 9);
  plain.insert(plain.end(), text.begin(), text.end());
  for (const EncoderSpec& spec :
       {zlib_spec(7, 8, Z_DEFAULT_STRATEGY), go_spec(8), klauspost_spec(8),
        pgzip_spec(9, 1 << 20, KlauspostVersion::v1_19)}) {
    const Bytes original = encode(spec, plain, plain.size());
    Bytes file = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    file.insert(file.end(), original.begin(), original.end());
    file.resize(file.size() + kGzipTrailer);
    Feeder feeder;
    GzipParser parser(feeder);
    parser.write(file);
    ASSERT_TRUE(parser.finish());
    const auto found = feeder.match.finish();
    ASSERT_TRUE(found.has_value()) << describe(spec);
    EXPECT_EQ(encode(*found, plain, plain.size()), original) << describe(spec);
  }
}

TEST(EncoderMatch, ALaterTierIsOnlyTriedWhenNothingBeforeFits) {
  const Bytes plain = sample_text(300'000, 10);
  const EncoderSpec spec = zlib_spec(6, 8, Z_DEFAULT_STRATEGY);
  const Bytes original = encode(spec, plain, plain.size());
  const auto found_in = [&](CandidateTiers tiers) {
    EncoderMatch matcher(std::move(tiers));
    matcher.deflate(original);
    matcher.plain(plain);
    return matcher.finish();
  };
  EXPECT_EQ(found_in({{}, {go_spec(6)}, {spec}}), spec);
  EXPECT_EQ(found_in({{go_spec(6)}, {}}), std::nullopt);
}

TEST(EncoderMatch, KeepsTheBlockWithOneOtherByte) {
  const Bytes plain = sample_text(600'000, 3);
  const EncoderSpec spec = zlib_spec(6, 8, Z_DEFAULT_STRATEGY);
  Bytes original = encode(spec, plain, plain.size());
  original[original.size() - 100] ^= 1;
  EncoderMatch matcher({{spec}});
  matcher.deflate(original);
  matcher.plain(plain);
  if (!matcher.finish()) return;  // what follows that byte may be no stream at all
  const std::vector<StreamPart> parts = matcher.take_parts();
  ASSERT_GE(parts.size(), 2U);
  EXPECT_TRUE(parts.back().verbatim);
  std::uint64_t bits = 0;
  for (const StreamPart& part : parts) bits += part.bits;
  EXPECT_EQ(bits, original.size() * 8);
  // Its bits are the end of the original's.
  const Bytes kept = matcher.take_verbatim();
  const std::uint64_t first = bits - parts.back().bits;
  for (std::uint64_t i = 0; i < parts.back().bits; ++i) {
    const std::uint64_t at = first + i;
    ASSERT_EQ(kept[i / 8] >> i % 8 & 1, original[at / 8] >> at % 8 & 1) << i;
  }
}

TEST(EncoderMatch, ClaimsNothingForABufferThatGoesOn) {
  const Bytes plain = sample_text(600'000, 4);
  Bytes original = encode(zlib_spec(6, 8, Z_DEFAULT_STRATEGY), plain, plain.size());
  original.push_back(0);
  EXPECT_FALSE(match(original, plain).has_value());
}

TEST(MakeEncoder, RefusesUnknownFamiliesAndParameters) {
  MemorySink out(1000);
  const auto code = [&](const EncoderSpec& spec) {
    try {
      make_encoder(spec, out);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code({99, {}}), ErrorCode::unsupported);
  EXPECT_EQ(code({kZlibFamily, {}}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(zlib_spec(0, 8, 0)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(zlib_spec(6, 10, 0)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(zlib_spec(6, 8, 5)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(go_spec(10)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(klauspost_spec(10)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({kKlauspostFamily, {5, 0}}), ErrorCode::recipe_invalid);  // one way to write it
  EXPECT_EQ(code({kKlauspostFamily, {5, 4}}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(pigz_spec(6, 1 << 10, false)), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({kPigzFamily, {6, 0, 0, 2, 0}}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code(pgzip_spec(5, 1)), ErrorCode::recipe_invalid);
}

// Joins what the parser hands out.
class Joiner final : public GzipVisitor {
 public:
  void on_header(ByteView bytes) override { add(bytes), ++members; }
  void on_deflate(ByteView bytes) override { add(bytes); }
  void on_plain(ByteView bytes) override { plain.insert(plain.end(), bytes.begin(), bytes.end()); }
  void on_trailer(ByteView bytes) override { add(bytes); }
  void on_rest(ByteView bytes) override {
    add(bytes);
    rest += bytes.size();
  }
  Bytes joined;
  Bytes plain;
  int members = 0;
  std::size_t rest = 0;

 private:
  void add(ByteView bytes) { joined.insert(joined.end(), bytes.begin(), bytes.end()); }
};

Bytes gzip_member(ByteView plain, bool with_name) {
  const std::uint8_t flags = with_name ? 12 : 0;
  Bytes out = {0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 3};
  if (with_name) {
    for (const int byte : {3, 0, 7, 7, 7}) out.push_back(static_cast<std::uint8_t>(byte));  // extra
    for (const char c : std::string("layer.tar")) out.push_back(static_cast<std::uint8_t>(c));
    out.push_back(0);
  }
  const Bytes deflate = encode(zlib_spec(6, 8, Z_DEFAULT_STRATEGY), plain, plain.size());
  out.insert(out.end(), deflate.begin(), deflate.end());
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(i));
  return out;
}

TEST(GzipParser, HandsOutEveryByteOnceWhateverTheCut) {
  const Bytes first = sample_text(70'000, 5);
  const Bytes second = sample_text(10, 6);
  Bytes file = gzip_member(first, true);
  const Bytes more = gzip_member(second, false);
  file.insert(file.end(), more.begin(), more.end());
  for (int i = 0; i < 20; ++i) file.push_back(0);  // padding after the last member
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, file.size()}) {
    Joiner joiner;
    GzipParser parser(joiner);
    for (std::size_t at = 0; at < file.size(); at += step) {
      parser.write(ByteView(file).subspan(at, std::min(step, file.size() - at)));
    }
    EXPECT_TRUE(parser.ok() && parser.finish()) << step;
    EXPECT_EQ(joiner.joined, file) << step;
    EXPECT_EQ(joiner.members, 2) << step;
    EXPECT_EQ(joiner.rest, 20U) << step;
    Bytes both = first;
    both.insert(both.end(), second.begin(), second.end());
    EXPECT_EQ(joiner.plain, both) << step;
  }
}

TEST(GzipParser, SaysWhenAFileIsCutOrDamaged) {
  const Bytes file = gzip_member(sample_text(5'000, 7), false);
  for (const std::size_t keep : {std::size_t{5}, std::size_t{50}, file.size() - 1}) {
    Joiner joiner;
    GzipParser parser(joiner);
    parser.write(ByteView(file).first(keep));
    EXPECT_FALSE(parser.finish()) << keep;
  }
  Bytes damaged = file;
  damaged[12] ^= 0xFF;
  Joiner joiner;
  GzipParser parser(joiner);
  parser.write(damaged);
  EXPECT_FALSE(parser.ok() && parser.finish());
}

TEST(Zstd, RefusesFramesThatHoldMoreOrLessThanDeclared) {
  const Bytes plain = sample_text(100'000, 8);
  ZstdCompressor compressor({3, 20, false});
  const Bytes frame = compressor.compress(plain);
  Bytes out(plain.size());
  zstd_decompress(frame, out, "frame");
  EXPECT_EQ(out, plain);
  const auto code = [&](ByteView bytes, std::size_t size) {
    Bytes target(size);
    try {
      zstd_decompress(bytes, target, "frame");
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code(frame, plain.size() - 1), ErrorCode::bomb);
  EXPECT_EQ(code(frame, plain.size() + 1), ErrorCode::pack_corrupt);
  EXPECT_EQ(code(ByteView(frame).first(frame.size() / 2), plain.size()), ErrorCode::pack_corrupt);
  EXPECT_EQ(code(ByteView(plain).first(1000), plain.size()), ErrorCode::pack_corrupt);
}

}  // namespace
}  // namespace bundle::codec
