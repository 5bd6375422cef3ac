// The gzip parser must hand out every byte of its input once, and encoder matching must only
// claim what it can give back.
#include <cstddef>
#include <optional>

#include "bundle/error.h"
#include "codec/encoder_match.h"
#include "codec/gzip_parser.h"

using namespace bundle;

namespace {

class Joiner final : public codec::GzipVisitor {
 public:
  void on_header(ByteView header) override {
    add(header);
    match_.emplace(codec::encoder_candidates(codec::gzip_extra_flags(header)));
    deflate_.clear();
    plain_.clear();
  }
  void on_deflate(ByteView compressed) override {
    add(compressed);
    deflate_.insert(deflate_.end(), compressed.begin(), compressed.end());
    match_->deflate(compressed);
  }
  void on_plain(ByteView plain) override {
    plain_.insert(plain_.end(), plain.begin(), plain.end());
    match_->plain(plain);
  }
  void on_trailer(ByteView trailer) override {
    add(trailer);
    const auto spec = match_->finish();
    if (!spec) return;
    MemorySink out(deflate_.size() + 1);
    const auto encoder = codec::make_encoder(*spec, out);
    encoder->write(plain_);
    encoder->finish();
    if (out.bytes() != deflate_) __builtin_trap();
  }
  void on_rest(ByteView bytes) override { add(bytes); }
  const Bytes& joined() const { return joined_; }

 private:
  void add(ByteView bytes) { joined_.insert(joined_.end(), bytes.begin(), bytes.end()); }
  Bytes joined_;
  Bytes deflate_;
  Bytes plain_;
  std::optional<codec::EncoderMatch> match_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return 0;
  Joiner joiner;
  codec::GzipParser parser(joiner);
  // Cut in two at a place that the input chooses.
  const std::size_t cut = size == 0 ? 0 : data[0] % (size + 1);
  parser.write(ByteView(data, cut));
  parser.write(ByteView(data + cut, size - cut));
  if (parser.ok() && parser.finish() && joiner.joined() != Bytes(data, data + size))
    __builtin_trap();
  return 0;
}
