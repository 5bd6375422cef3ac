#include "pack/object_splitter.h"

#include <algorithm>

#include "pack/blob_packer.h"

namespace bundle::pack {
namespace {

// Moves bytes from the front of `bytes` into `block` until it is full.
void fill(Bytes& block, ByteView& bytes) {
  const std::size_t part = std::min(bytes.size(), kObjectBlock - block.size());
  block.insert(block.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
  bytes = bytes.subspan(part);
}

}  // namespace

ContentSplitter::ContentSplitter(ObjectVisitor& visitor) : visitor_(visitor), scanner_(*this) {
  block_.reserve(Chunker::kMax);
}

void ContentSplitter::finish() {
  scanner_.finish();
  flush_header({});
  flush();
}

void ContentSplitter::collect(ByteView bytes) {
  while (!bytes.empty()) {
    bool complete = false;
    if (chunked_) {
      const ByteView part = bytes.first(chunker_.take(block_, bytes, complete));
      block_.insert(block_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
    } else {
      fill(block_, bytes);
      complete = block_.size() == kObjectBlock;
    }
    if (complete) flush();
  }
}

void ContentSplitter::set_chunked(bool chunked) {
  chunked_ = chunked;
  chunker_.start();
}

void ContentSplitter::flush() {
  if (block_.empty()) return;
  visitor_.on_block(block_);
  block_.clear();
}

void ContentSplitter::flush_header(const std::string& path) {
  if (header_.empty()) return;
  visitor_.on_header(header_, path);
  header_.clear();
}

void ContentSplitter::on_member(const codec::TarMember& member, ByteView header) {
  flush();
  header_.insert(header_.end(), header.begin(), header.end());
  flush_header(member.path);
  visitor_.on_file(member.path, member.body_size);
  set_chunked(member.body_size >= kChunkedFile);
}
void ContentSplitter::on_body(ByteView bytes) {
  collect(bytes);
}
void ContentSplitter::on_padding(ByteView bytes) {
  flush();
  header_.insert(header_.end(), bytes.begin(), bytes.end());
}
void ContentSplitter::on_tail(ByteView bytes) {
  if (!in_tail_) {
    flush();
    flush_header({});
    visitor_.on_file({}, 0);
    set_chunked(true);
  }
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
    if (block_.size() == kObjectBlock) flush();
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
