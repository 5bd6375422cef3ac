// Cut byte streams into objects for deduplication.
#pragma once

#include <string>

#include "codec/tar.h"
#include "format/recipe.h"
#include "io/stream.h"
#include "pack/chunker.h"

namespace bundle::pack {

class BlobPacker;

// Objects are tar members' bodies and, outside of tar, everything. Files below kChunkedFile are cut
// every kObjectBlock bytes, larger ones and what is no tar where the chunker says.
inline constexpr std::size_t kObjectBlock = 128 << 10;
inline constexpr std::size_t kChunkedFile = 1 << 20;

// Receives the objects of one stream of plain bytes, in order: joined they are the stream.
class ObjectVisitor {
 public:
  virtual ~ObjectVisitor() = default;
  // What lies between two bodies: the padding of the one and the header records of the other.
  // `path` is the next member's; empty at the end of an archive.
  virtual void on_header(ByteView bytes, const std::string& path) = 0;
  // The blocks that follow are one file's, of `size` bytes; path empty and size 0: not known.
  virtual void on_file(const std::string& path, std::uint64_t size) = 0;
  virtual void on_block(ByteView bytes) = 0;
};

// Plain bytes, tar or not.
class ContentSplitter final : public Sink, private codec::TarVisitor {
 public:
  explicit ContentSplitter(ObjectVisitor& visitor);

  void write(ByteView bytes) override { scanner_.write(bytes); }
  void finish();

 private:
  void on_member(const codec::TarMember& member, ByteView header) override;
  void on_body(ByteView bytes) override;
  void on_padding(ByteView bytes) override;
  void on_tail(ByteView bytes) override;
  void collect(ByteView bytes);
  void set_chunked(bool chunked);
  void flush();
  void flush_header(const std::string& path);

  ObjectVisitor& visitor_;
  codec::TarScanner scanner_;
  bool in_tail_ = false;
  bool chunked_ = false;
  Chunker chunker_;
  Bytes header_;
  Bytes block_;
};

// Bytes that do not compress, in blocks.
class OpaqueSplitter final : public Sink {
 public:
  // Whether this opens plain segments of the recipe itself or writes into one under way.
  enum class Frame : std::uint8_t { own, given };

  OpaqueSplitter(BlobPacker& packer, format::RecipeWriter& recipe, Frame frame = Frame::own);

  void write(ByteView bytes) override;
  // Ends the segment; writing again opens another.
  void finish();

 private:
  void flush();

  BlobPacker& packer_;
  format::RecipeWriter& recipe_;
  Frame frame_;
  bool segment_open_ = false;
  Bytes block_;
};

}  // namespace bundle::pack
