// Cut byte streams into objects for deduplication.
#pragma once

#include "codec/tar.h"
#include "format/recipe.h"
#include "io/stream.h"

namespace bundle::pack {

class BlobPacker;

// Plain bytes, tar or not: members' bodies and blocks become objects, headers and padding go to
// their own stream. The runs are added to the recipe's segment under way.
class ContentSplitter final : public Sink, private codec::TarVisitor {
 public:
  ContentSplitter(BlobPacker& packer, format::RecipeWriter& recipe);

  void write(ByteView bytes) override { scanner_.write(bytes); }
  void finish();

 private:
  void on_member(const codec::TarMember& member, ByteView header) override;
  void on_body(ByteView bytes) override;
  void on_padding(ByteView bytes) override;
  void on_tail(ByteView bytes) override;
  void collect(ByteView bytes);
  void flush();

  BlobPacker& packer_;
  format::RecipeWriter& recipe_;
  codec::TarScanner scanner_;
  bool in_tail_ = false;
  Bytes object_;
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
