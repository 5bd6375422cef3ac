#include "pack/object_splitter.h"

#include <algorithm>

#include "pack/blob_packer.h"

namespace bundle::pack {
namespace {

// Moves bytes from the front of `bytes` into `block` until it is full.
void fill(Bytes& block, ByteView& bytes) {
  const std::size_t part = std::min(bytes.size(), BlobPacker::kBlock - block.size());
  block.insert(block.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
  bytes = bytes.subspan(part);
}

}  // namespace

ContentSplitter::ContentSplitter(BlobPacker& packer, format::RecipeWriter& recipe)
    : packer_(packer), recipe_(recipe), scanner_(*this) {
  object_.reserve(BlobPacker::kBlock);
}

void ContentSplitter::finish() {
  scanner_.finish();
  flush();
}

void ContentSplitter::collect(ByteView bytes) {
  while (!bytes.empty()) {
    fill(object_, bytes);
    if (object_.size() == BlobPacker::kBlock) flush();
  }
}

void ContentSplitter::flush() {
  if (object_.empty()) return;
  recipe_.add_run(packer_.store_object(object_));
  object_.clear();
}

void ContentSplitter::on_member(const codec::TarMember&, ByteView header) {
  flush();
  recipe_.add_run(packer_.store_header(header));
}
void ContentSplitter::on_body(ByteView bytes) { collect(bytes); }
void ContentSplitter::on_padding(ByteView bytes) {
  flush();
  recipe_.add_run(packer_.store_header(bytes));
}
void ContentSplitter::on_tail(ByteView bytes) {
  if (!in_tail_) flush();
  in_tail_ = true;
  collect(bytes);
}

OpaqueSplitter::OpaqueSplitter(BlobPacker& packer, format::RecipeWriter& recipe, Frame frame)
    : packer_(packer), recipe_(recipe), frame_(frame) {}

void OpaqueSplitter::write(ByteView bytes) {
  if (!segment_open_ && frame_ == Frame::own) recipe_.begin_plain();
  segment_open_ = true;
  while (!bytes.empty()) {
    fill(block_, bytes);
    if (block_.size() == BlobPacker::kBlock) flush();
  }
}

void OpaqueSplitter::flush() {
  if (block_.empty()) return;
  recipe_.add_run(packer_.store_opaque(block_));
  block_.clear();
}

void OpaqueSplitter::finish() {
  flush();
  if (segment_open_ && frame_ == Frame::own) recipe_.end_segment();
  segment_open_ = false;
}

}  // namespace bundle::pack
