#include "pack/chunker.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "crypto/digest.h"

namespace bundle::pack {
namespace {

Bytes random_bytes(std::size_t size) {
  std::mt19937 random(3);
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// The chunks of `bytes`, which come in pieces of `piece` bytes.
std::vector<Bytes> chunks_of(ByteView bytes, std::size_t piece) {
  Chunker chunker;
  chunker.start();
  std::vector<Bytes> chunks(1);
  while (!bytes.empty()) {
    ByteView part = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(part.size());
    while (!part.empty()) {
      bool complete = false;
      const std::size_t taken = chunker.take(chunks.back(), part, complete);
      chunks.back().insert(chunks.back().end(), part.begin(),
                           part.begin() + static_cast<std::ptrdiff_t>(taken));
      part = part.subspan(taken);
      if (complete) chunks.emplace_back();
    }
  }
  if (chunks.back().empty()) chunks.pop_back();
  return chunks;
}

Bytes join(const std::vector<Bytes>& chunks) {
  Bytes all;
  for (const Bytes& chunk : chunks) all.insert(all.end(), chunk.begin(), chunk.end());
  return all;
}

TEST(Chunker, PiecesDoNotMatter) {
  const Bytes bytes = random_bytes(3 << 20);
  const auto chunks = chunks_of(bytes, bytes.size());
  EXPECT_EQ(join(chunks), bytes);
  EXPECT_EQ(chunks_of(bytes, 1000), chunks);
  EXPECT_EQ(chunks_of(bytes, 70'001), chunks);
  for (std::size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_GE(chunks[i].size(), Chunker::kMin);
    EXPECT_LE(chunks[i].size(), Chunker::kMax);
  }
  EXPECT_GT(chunks.size(), bytes.size() / Chunker::kMax);
  EXPECT_LT(chunks.size(), bytes.size() / Chunker::kMin);
}

TEST(Chunker, WhatMovesKeepsItsChunks) {
  const Bytes bytes = random_bytes(4 << 20);
  Bytes moved = {1, 2, 3, 4, 5};
  moved.insert(moved.end(), bytes.begin(), bytes.end());
  std::set<Digest> known;
  for (const Bytes& chunk : chunks_of(bytes, 1 << 20)) known.insert(sha256(chunk));
  std::size_t equal = 0;
  const auto chunks = chunks_of(moved, 1 << 20);
  for (const Bytes& chunk : chunks) equal += known.count(sha256(chunk));
  EXPECT_GE(equal + 3, chunks.size());
}

TEST(Chunker, DiskImagesAreCutInBlocks) {
  Bytes image = random_bytes(1 << 20);
  image[510] = 0x55;
  image[511] = 0xAA;
  const auto chunks = chunks_of(image, 100'000);
  ASSERT_EQ(chunks.size(), (1 << 20) / Chunker::kDiskBlock);
  for (const Bytes& chunk : chunks) EXPECT_EQ(chunk.size(), Chunker::kDiskBlock);
  EXPECT_EQ(join(chunks), image);
}

TEST(Chunker, EmptyBytesOfTheSameKindEndAtTheMost) {
  const auto chunks = chunks_of(Bytes(1 << 20, 7), 1 << 20);
  for (const Bytes& chunk : chunks) EXPECT_LE(chunk.size(), Chunker::kMax);
}

}  // namespace
}  // namespace bundle::pack
