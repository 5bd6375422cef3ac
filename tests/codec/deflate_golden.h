#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <zlib.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <utility>

#include "codec/deflate/bit_writer.h"
#include "deflate_inputs.h"

/// Comparison of encoders with digests of the streams that the real ones made of the same inputs
/// (tests/data/deflate/golden.txt, described in tests/data/deflate/regen/main.go).
namespace bundle::codec::test {

inline constexpr uint64_t kBatchSize = 100;
inline constexpr uint64_t kQuickBatches = 2;

using Digest = std::array<uint8_t, 32>;

inline Digest sha256(std::span<const uint8_t> bytes) {
  Digest digest;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

/// As in the golden file: the first 16 bytes.
inline std::string short_hex(const Digest& digest) {
  std::string text;
  for (size_t i = 0; i < 16; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

inline ByteSink appending_to(Bytes& out) {
  return
      [&out](std::span<const uint8_t> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); };
}

/// Whether zlib takes `stream` as one complete raw deflate stream of exactly `plain`.
inline bool inflates_to(std::span<const uint8_t> stream, std::span<const uint8_t> plain) {
  z_stream zlib{};
  if (inflateInit2(&zlib, -15) != Z_OK) return false;
  Bytes out(plain.size() + 1);
  zlib.next_in = const_cast<Bytef*>(stream.data());
  zlib.avail_in = static_cast<uInt>(stream.size());
  zlib.next_out = out.data();
  zlib.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&zlib, Z_FINISH);
  const bool complete = code == Z_STREAM_END && zlib.avail_in == 0;
  const bool equal =
      zlib.total_out == plain.size() && std::equal(plain.begin(), plain.end(), out.begin());
  inflateEnd(&zlib);
  return complete && equal;
}

struct Golden {
  std::map<uint64_t, std::string> items;
  std::map<uint64_t, std::string> batches;
};

inline Golden load_golden(const std::string& encoder, int level) {
  const char* const directory = std::getenv("BUNDLE_TEST_DATA");
  std::ifstream file(std::string(directory != nullptr ? directory : BUNDLE_TEST_DATA_DIR) +
                     "/deflate/golden.txt");
  Golden golden;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string name, kind, digest;
    int line_level = 0;
    uint64_t number = 0;
    fields >> name >> line_level >> kind >> number >> digest;
    if (name != encoder || line_level != level) continue;
    (kind == "item" ? golden.items : golden.batches)[number] = digest;
  }
  return golden;
}

/// Encodes one input to the sink and returns the input.
using EncodeInput = std::function<Bytes(uint64_t id, const ByteSink& sink)>;

/// All batches when BUNDLE_FULL=1, otherwise the first ones; single items always.
inline void check_against_golden(const std::string& encoder, int level, const EncodeInput& encode) {
  const int golden_level = level == -1 && encoder == "go126" ? 6 : level;
  const Golden golden = load_golden(encoder, golden_level);
  ASSERT_FALSE(golden.items.empty());
  ASSERT_FALSE(golden.batches.empty());
  const auto encoded = [&](uint64_t id) {
    Bytes stream;
    const Bytes input = encode(id, appending_to(stream));
    EXPECT_TRUE(inflates_to(stream, input)) << encoder << " level " << level << " input " << id;
    return sha256(stream);
  };
  for (const auto& [id, digest] : golden.items) {
    EXPECT_EQ(short_hex(encoded(id)), digest) << encoder << " level " << level << " input " << id;
  }
  const char* const full = std::getenv("BUNDLE_FULL");
  const bool all = full != nullptr && std::string(full) == "1";
  for (const auto& [batch, digest] : golden.batches) {
    if (!all && batch >= kQuickBatches) break;
    Bytes digests;
    for (uint64_t id = batch * kBatchSize; id < (batch + 1) * kBatchSize; ++id) {
      const Digest one = encoded(id);
      digests.insert(digests.end(), one.begin(), one.end());
    }
    EXPECT_EQ(short_hex(sha256(digests)), digest)
        << encoder << " level " << level << " batch " << batch;
  }
}

}  // namespace bundle::codec::test
