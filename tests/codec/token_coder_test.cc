#include "codec/token_coder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "bundle/error.h"
#include "codec/deflate/go_deflate.h"
#include "deflate_golden.h"

namespace bundle::codec::test {
namespace {

// What family 6 gets before the plain bytes.
Bytes framed(Bytes corrections) {
  Bytes out(4);
  store_le(out.data(), static_cast<std::uint32_t>(corrections.size()));
  out.insert(out.end(), corrections.begin(), corrections.end());
  return out;
}

std::optional<Bytes> corrections_of(const TokenModel& model, ByteView stream) {
  TokenCoder coder(model);
  Random random{stream.size()};
  for (std::size_t done = 0; done < stream.size();) {
    const std::size_t part = std::min<std::size_t>(1 + random.below(70000), stream.size() - done);
    if (!coder.feed(stream.subspan(done, part))) return std::nullopt;
    done += part;
  }
  if (!coder.finish()) return std::nullopt;
  return coder.take_corrections();
}

Bytes play(const TokenModel& model, const Bytes& corrections, const Bytes& plain,
           std::size_t step) {
  MemorySink out(64 << 20);
  const auto encoder = make_encoder(token_spec(model), out);
  Bytes input = framed(corrections);
  input.insert(input.end(), plain.begin(), plain.end());
  for (std::size_t done = 0; done < input.size(); done += step) {
    encoder->write(ByteView(input).subspan(done, std::min(step, input.size() - done)));
  }
  encoder->finish();
  return out.take();
}

// The size of the corrections.
std::size_t expect_round_trip(const Bytes& stream, const Bytes& plain, const std::string& what) {
  const auto model =
      choose_token_model(ByteView(stream).first(std::min<std::size_t>(stream.size(), 100000)));
  if (!model) {
    ADD_FAILURE() << what << ": no model";
    return 0;
  }
  const auto corrections = corrections_of(*model, stream);
  if (!corrections) {
    ADD_FAILURE() << what << ": not coded";
    return 0;
  }
  EXPECT_TRUE(play(*model, *corrections, plain, 1 << 20) == stream) << what;
  EXPECT_TRUE(play(*model, *corrections, plain, 4999) == stream) << what;
  return corrections->size();
}

// zlib, flushed in all its ways (the last of kFlushes forgets the past, too) at places that the
// seed chooses.
Bytes flushed_zlib(const Bytes& plain, int level, int mem_level, std::uint64_t seed,
                   std::size_t kinds = 5) {
  z_stream zlib{};
  EXPECT_EQ(deflateInit2(&zlib, level, Z_DEFLATED, -15, mem_level, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(plain.size() * 2 + 100000);
  zlib.next_out = out.data();
  zlib.avail_out = static_cast<uInt>(out.size());
  constexpr std::array kFlushes = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_PARTIAL_FLUSH, Z_BLOCK,
                                   Z_FULL_FLUSH};
  Random random{seed};
  for (std::size_t done = 0; done < plain.size();) {
    const std::size_t part = std::min<std::size_t>(1 + random.below(90000), plain.size() - done);
    zlib.next_in = const_cast<Bytef*>(plain.data() + done);
    zlib.avail_in = static_cast<uInt>(part);
    EXPECT_EQ(deflate(&zlib, kFlushes[random.below(kinds)]), Z_OK);
    done += part;
  }
  zlib.avail_in = 0;
  EXPECT_EQ(deflate(&zlib, Z_FINISH), Z_STREAM_END);
  out.resize(zlib.total_out);
  deflateEnd(&zlib);
  return out;
}

TEST(TokenCoder, GivesBackFlushedStreamsOfZlib) {
  for (std::uint64_t id = 0; id < 40; ++id) {
    const Bytes plain = make_input(id * 37 + 5);
    const int level = static_cast<int>(id % 9) + 1;
    const Bytes stream = flushed_zlib(plain, level, static_cast<int>(id % 5) + 5, id);
    expect_round_trip(stream, plain, "input " + std::to_string(id));
  }
}

TEST(TokenCoder, GivesBackStreamsOfEveryEncoder) {
  const Bytes plain = make_input(141);
  const auto candidates = encoder_candidates(0).front();
  for (std::size_t i = 0; i < candidates.size(); i += 5) {
    const EncoderSpec& spec = candidates[i];
    MemorySink out(64 << 20);
    const auto encoder = make_encoder(spec, out);
    encoder->write(plain);
    encoder->finish();
    expect_round_trip(out.take(), plain, describe(spec));
  }
}

TEST(TokenCoder, PiecesGoOnAcrossMoreThanAMebibyte) {
  Bytes plain;
  Random random{7};
  fill_text(random, plain, 3'500'000);
  const Bytes stream = flushed_zlib(plain, 6, 8, 3, 4);
  // A wrong prediction now and then, at flushes and ends of pieces: nearly nothing.
  EXPECT_LT(expect_round_trip(stream, plain, "text"), stream.size() / 1000);
}

TEST(TokenCoder, GivesBackWhatTheGzipProgramMakes) {
  const std::string path = testing::TempDir() + "/token_coder_input";
  Bytes plain;
  Random random{11};
  fill_tar(random, plain, 600'000);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(plain.data()),
             static_cast<std::streamsize>(plain.size()));
  for (const char level : {'1', '6', '9'}) {
    const std::string command = std::string("gzip -n -c -") + level + " " + path;
    FILE* const pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    Bytes file(4 << 20);
    file.resize(std::fread(file.data(), 1, file.size(), pipe));
    if (pclose(pipe) != 0) GTEST_SKIP() << "gzip is not installed";
    ASSERT_GT(file.size(), 18u);
    const Bytes stream(file.begin() + 10, file.end() - 8);
    EXPECT_LT(expect_round_trip(stream, plain, command), stream.size() / 500);
  }
}

TEST(TokenCoder, EmptyAndStoredStreams) {
  expect_round_trip({0x03, 0x00}, {}, "empty fixed block");
  expect_round_trip({0x01, 0x00, 0x00, 0xff, 0xff}, {}, "empty stored block");
  for (const int level : {-2, 0}) {
    const Bytes plain = make_input(4);
    Bytes stream;
    GoDeflate encoder(level, appending_to(stream));
    encoder.write(plain);
    encoder.finish();
    expect_round_trip(stream, plain, "level " + std::to_string(level));
  }
}

TEST(TokenCoder, RefusesWhatItCouldNotGiveBack) {
  const Bytes plain = make_input(22);
  const Bytes stream = flushed_zlib(plain, 6, 8, 1);
  const TokenModel model;
  ASSERT_TRUE(corrections_of(model, stream).has_value());
  Bytes longer = stream;
  longer.push_back(0);
  EXPECT_FALSE(corrections_of(model, longer).has_value());
  EXPECT_FALSE(corrections_of(model, ByteView(stream).first(stream.size() - 1)).has_value());
  EXPECT_FALSE(corrections_of(model, Bytes{0x07}).has_value());              // no such block type
  EXPECT_FALSE(corrections_of(model, Bytes{0x03, 0x04}).has_value());        // padding that is set
  EXPECT_FALSE(corrections_of(model, Bytes{0x01, 1, 0, 0, 0}).has_value());  // stored, bad length
}

TEST(TokenCoder, WrongCorrectionsAreRefusedOrGiveAnotherStream) {
  const Bytes plain = make_input(22);
  const Bytes stream = flushed_zlib(plain, 6, 8, 1);
  const TokenModel model{4, 8, 16, 32, 4, 258, 4096, 32506};  // not zlib's: many corrections
  const auto corrections = corrections_of(model, stream);
  ASSERT_TRUE(corrections.has_value());
  Random random{5};
  for (int round = 0; round < 300; ++round) {
    Bytes wrong = *corrections;
    const std::size_t at = random.below(wrong.size());
    wrong[at] = static_cast<std::uint8_t>(wrong[at] ^ (1 + random.below(255)));
    if (round % 10 == 9) wrong.resize(at);
    try {
      EXPECT_FALSE(play(model, wrong, plain, 1 << 20) == stream) << round;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::recipe_invalid) << round;
    }
  }
}

TEST(TokenCoder, RefusesModelsOutOfRange) {
  const auto code = [](TokenModel model) {
    try {
      parse_token_model(token_spec(model).params);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code({5}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({3, 8, 16, 259}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({3, 8, 16, 128, 0}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({3, 8, 16, 128, 4097}), ErrorCode::recipe_invalid);
  EXPECT_EQ(code({3, 8, 16, 128, 128, 258, 4096, 32769}), ErrorCode::recipe_invalid);
}

}  // namespace
}  // namespace bundle::codec::test
