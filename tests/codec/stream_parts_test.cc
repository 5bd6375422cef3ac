#include "codec/stream_parts.h"

#include <gtest/gtest.h>

#include <utility>

#include "bundle/error.h"
#include "codec/encoder_match.h"
#include "deflate_inputs.h"

namespace bundle::codec {
namespace {

// Large enough for several parts.
const Bytes& sample() {
  static const Bytes bytes = [] {
    Bytes made;
    for (std::uint64_t id = 2; made.size() < (11U << 20); id += 7) {
      const Bytes more = test::make_input(id);  // tar
      made.insert(made.end(), more.begin(), more.end());
    }
    return made;
  }();
  return bytes;
}

Bytes encode(const EncoderSpec& spec, ByteView plain) {
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(spec, out);
  encoder->write(plain);
  encoder->finish();
  return out.take();
}

struct Matched {
  std::optional<EncoderSpec> spec;
  std::vector<StreamPart> parts;
  Bytes verbatim;
};

Matched match(const EncoderSpec& spec, ByteView deflate, ByteView plain) {
  EncoderMatch matcher({{spec}});
  const std::size_t step = 100'000;
  const std::size_t packed_step = deflate.size() * step / plain.size();
  std::size_t ahead = 1 << 20;  // as an inflater has read it before
  while (!plain.empty()) {
    const std::size_t packed = std::min(ahead + packed_step, deflate.size());
    ahead = 0;
    matcher.deflate(deflate.first(packed));
    deflate = deflate.subspan(packed);
    const std::size_t count = std::min(step, plain.size());
    if (count == plain.size()) matcher.deflate(std::exchange(deflate, ByteView()));
    matcher.plain(plain.first(count));
    plain = plain.subspan(count);
  }
  Matched matched{matcher.finish(), {}, {}};
  matched.parts = matcher.take_parts();
  matched.verbatim = matcher.take_verbatim();
  return matched;
}

// Bits, byte-aligned, as encode_part() gives them for this phase.
Bytes shifted(ByteView bytes, unsigned phase, std::uint64_t bits) {
  Bytes out;
  BitWriter writer([&out](ByteView made) { out.insert(out.end(), made.begin(), made.end()); });
  writer.begin(phase);
  writer.put_string(bytes, bits);
  writer.align();
  writer.drain();
  return out;
}

// As a reader puts it together.
Bytes rebuild(const Matched& matched, const Bytes& plain) {
  const EncoderSpec& spec = *matched.spec;
  std::vector<FlushAt> flushes;
  std::uint64_t start = 0;
  for (const StreamPart& part : matched.parts) {
    for (const FlushAt& flush : part.flushes) flushes.push_back({start + flush.plain, flush.kind});
    start += part.plain;
  }
  EXPECT_EQ(start, plain.size());
  MemorySink joined(64 << 20);
  PartJoiner joiner(joined);
  ByteView verbatim = matched.verbatim;
  start = 0;
  for (const StreamPart& part : matched.parts) {
    if (part.verbatim) {
      joiner.add(shifted(verbatim, joiner.phase(), part.bits), part.bits);
      verbatim = verbatim.subspan((part.bits + 7) / 8);
    } else {
      const std::uint64_t from =
          start == 0 ? 0 : learning_start(restart_rule(spec), flushes, start);
      const std::uint64_t end =
          std::min<std::uint64_t>(plain.size(), start + part.plain + kPartTail);
      PartInput input{spec, {}, start - from, {}, joiner.phase(), part.bits};
      input.plain.assign(plain.begin() + static_cast<std::ptrdiff_t>(from),
                         plain.begin() + static_cast<std::ptrdiff_t>(end));
      for (const FlushAt& flush : flushes) {
        if (flush.plain > from && flush.plain <= end)
          input.flushes.push_back({flush.plain - from, flush.kind});
      }
      joiner.add(encode_part(input), part.bits);
    }
    start += part.plain;
  }
  EXPECT_TRUE(verbatim.empty());
  return joined.take();
}

class StreamParts : public testing::TestWithParam<EncoderSpec> {};

TEST_P(StreamParts, MadeOneByOneAreTheStream) {
  const Bytes original = encode(GetParam(), sample());
  const Matched matched = match(GetParam(), original, sample());
  ASSERT_EQ(matched.spec, GetParam());
  ASSERT_GE(matched.parts.size(), 2U);
  EXPECT_TRUE(rebuild(matched, sample()) == original);
}

INSTANTIATE_TEST_SUITE_P(
    Encoders, StreamParts,
    testing::Values(go_spec(1), go_spec(3), go_spec(6), klauspost_spec(1), klauspost_spec(3),
                    klauspost_spec(5), klauspost_spec(6, KlauspostVersion::v1_19),
                    klauspost_spec(7), pgzip_spec(5, 1 << 20), pigz_spec(6, 128 << 10, false),
                    pigz_spec(6, 128 << 10, true), zlib_spec(1, 8, 0), zlib_spec(6, 8, 0),
                    zlib_spec(6, 9, 1), zlib_spec(6, 8, 2), zlib_spec(6, 8, 3)));

struct Flushed {
  EncoderSpec spec;
  DeflateEncoder::Flush kind;
};
class FlushedStreams : public testing::TestWithParam<Flushed> {};

TEST_P(FlushedStreams, FlushesAreFound) {
  constexpr auto kPlaces = std::to_array<std::size_t>({700'001, 1'000'000, 1'900'777, 5'000'123});
  const ByteView plain = ByteView(sample()).first(6U << 20);
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(GetParam().spec, out);
  std::size_t done = 0;
  for (const std::size_t place : kPlaces) {
    encoder->write(plain.subspan(done, place - done));
    encoder->flush(GetParam().kind);
    done = place;
  }
  encoder->write(plain.subspan(done));
  encoder->finish();
  const Bytes original = out.take();
  const Matched matched = match(GetParam().spec, original, plain);
  ASSERT_EQ(matched.spec, GetParam().spec);
  EXPECT_LE(matched.verbatim.size(), 16U);
  std::size_t flushes = 0;
  for (const StreamPart& part : matched.parts) flushes += part.flushes.size();
  EXPECT_EQ(flushes, kPlaces.size());
  EXPECT_TRUE(rebuild(matched, Bytes(plain.begin(), plain.end())) == original);
}

INSTANTIATE_TEST_SUITE_P(Encoders, FlushedStreams,
                         testing::Values(Flushed{go_spec(1), DeflateEncoder::Flush::sync},
                                         Flushed{go_spec(6), DeflateEncoder::Flush::sync},
                                         Flushed{klauspost_spec(5), DeflateEncoder::Flush::sync},
                                         Flushed{zlib_spec(6, 8, 0), DeflateEncoder::Flush::sync},
                                         Flushed{zlib_spec(6, 8, 0), DeflateEncoder::Flush::full}));

// So much of it is in one block that nothing is seen behind the flush for long.
TEST(StreamParts, TheKindOfAFlushIsCorrectedWhenItShows) {
  std::vector<Bytes> lines(150);
  for (std::size_t i = 0; i < lines.size(); ++i)
    lines[i].assign(sample().begin() + static_cast<std::ptrdiff_t>(9000 * i),
                    sample().begin() + static_cast<std::ptrdiff_t>(9000 * i + 120));
  Bytes plain;
  for (std::uint32_t i = 0, state = 1; i < 43'000; ++i, state = state * 1664525 + 1013904223) {
    const Bytes& line = lines[(state >> 16) % lines.size()];
    plain.insert(plain.end(), line.begin(), line.end());
  }
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(zlib_spec(6, 8, 0), out);
  const std::size_t place = plain.size() - 500'000;
  encoder->write(ByteView(plain).first(place));
  encoder->flush(DeflateEncoder::Flush::full);
  encoder->write(ByteView(plain).subspan(place));
  encoder->finish();
  const Bytes original = out.take();
  const Matched matched = match(zlib_spec(6, 8, 0), original, plain);
  ASSERT_EQ(matched.spec, zlib_spec(6, 8, 0));
  EXPECT_TRUE(matched.verbatim.empty());
  EXPECT_TRUE(rebuild(matched, plain) == original);
}

// One block of the stream is replaced by stored blocks of the same bytes.
TEST(StreamParts, AForeignBlockIsKeptAndTheEncoderGoesOn) {
  const ByteView plain = ByteView(sample()).first(5U << 20);
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(go_spec(6), out);
  std::vector<BlockStart> blocks;
  for (std::size_t done = 0; done < plain.size(); done += 4096) {
    encoder->write(plain.subspan(done, std::min<std::size_t>(4096, plain.size() - done)));
    if (blocks.empty() || blocks.back().plain != encoder->last_block().plain)
      blocks.push_back(encoder->last_block());
  }
  encoder->finish();
  const Bytes whole = out.take();
  std::size_t chosen = blocks.size() / 3;
  while (blocks.at(chosen + 1).bit % 8 != 0) ++chosen;  // later stored blocks stay on bytes
  const BlockStart from = blocks[chosen];
  const BlockStart to = blocks[chosen + 1];
  Bytes original;
  BitWriter writer(
      [&original](ByteView made) { original.insert(original.end(), made.begin(), made.end()); });
  writer.put_string(whole, from.bit);
  for (std::uint64_t at = from.plain; at < to.plain;) {
    const std::uint64_t size = std::min<std::uint64_t>(to.plain - at, 50'000);
    writer.put(0, 3);
    writer.align();
    writer.put(size | (~size & 0xffff) << 16, 32);
    writer.put_bytes(plain.subspan(at, size));
    at += size;
  }
  for (std::uint64_t bit = to.bit; bit < whole.size() * 8; ++bit)
    writer.put(whole[bit / 8] >> bit % 8 & 1U, 1);
  writer.align();
  writer.drain();
  const Matched matched = match(go_spec(6), original, plain);
  ASSERT_EQ(matched.spec, go_spec(6));
  EXPECT_GE(matched.verbatim.size(), to.plain - from.plain);
  EXPECT_LE(matched.verbatim.size(), to.plain - from.plain + 64);
  EXPECT_TRUE(rebuild(matched, Bytes(plain.begin(), plain.end())) == original);
}

TEST(StreamParts, AnEncoderThatMakesTooFewBitsIsAnError) {
  PartInput input;
  input.spec = go_spec(6);
  input.plain = Bytes(1000, 'a');
  input.bits = 8000;
  EXPECT_THROW(encode_part(input), Error);
  input.learn = 1000;  // nothing is left
  input.phase = 3;
  EXPECT_THROW(encode_part(input), Error);
  input.spec = {kTokenFamily, {}};
  EXPECT_THROW(encode_part(input), Error);
}

TEST(StreamParts, EncodersLearnFromPlacesThatFitTheirWindows) {
  const RestartRule lazy = restart_rule(go_spec(6));
  EXPECT_EQ(learning_start(lazy, {}, 10), 0U);
  EXPECT_EQ(learning_start(lazy, {}, 1'000'000) % 32768, 0U);
  EXPECT_LE(learning_start(lazy, {}, 1'000'000), 1'000'000U - 32768);
  // Blocks are counted from the last flush.
  const std::vector<FlushAt> flushes = {{5000, DeflateEncoder::Flush::sync}};
  const RestartRule fast = restart_rule(go_spec(1));
  EXPECT_EQ(learning_start(fast, flushes, 5000 + 10 * 65535), 5000U + 8 * 65535);
}

}  // namespace
}  // namespace bundle::codec
