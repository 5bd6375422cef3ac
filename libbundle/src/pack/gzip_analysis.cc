#include "pack/gzip_analysis.h"

#include "codec/encoder_match.h"
#include "codec/gzip_parser.h"
#include "codec/gzip_reader.h"

namespace bundle::pack {
namespace {

constexpr std::size_t kReadBuffer = 256 << 10;

class Analyser final : public codec::GzipVisitor {
 public:
  explicit Analyser(Sink* watcher) : watcher_(watcher) {}

  void on_header(ByteView header) override {
    match_.emplace(codec::encoder_candidates(codec::gzip_extra_flags(header)));
    deflate_bytes_ = 0;
  }
  void on_deflate(ByteView compressed) override {
    deflate_bytes_ += compressed.size();
    match_->deflate(compressed);
  }
  void on_plain(ByteView plain) override {
    if (watcher_ != nullptr) watcher_->write(plain);
    if (!match_->hopeless()) match_->plain(plain);
  }
  void on_trailer(ByteView) override {
    auto spec = match_->hopeless() ? std::nullopt : match_->finish();
    if (spec) result_.replayed_bytes += deflate_bytes_;
    result_.members.push_back(std::move(spec));
    match_.reset();
  }
  void on_rest(ByteView) override {}

  GzipAnalysis take() {
    result_.is_gzip = true;
    return std::move(result_);
  }

 private:
  Sink* watcher_;
  GzipAnalysis result_;
  std::optional<codec::EncoderMatch> match_;
  std::uint64_t deflate_bytes_ = 0;
};

}  // namespace

GzipAnalysis analyse_gzip(const release::BlobInput& blob, const Cancel& cancel, Sink* plain) {
  Bytes buffer(kReadBuffer);
  const auto source = blob.open();
  std::size_t count = read_full(*source, buffer);
  if (!codec::is_gzip(ByteView(buffer).first(count))) return {};
  Analyser analyser(plain);
  codec::GzipParser parser(analyser);
  while (count > 0 && parser.ok()) {
    cancel.check();
    parser.write(ByteView(buffer).first(count));
    count = source->read(buffer);
  }
  GzipAnalysis result;
  result.is_gzip = true;  // by its magic: it will not compress either way
  return parser.ok() && parser.finish() ? analyser.take() : result;
}

}  // namespace bundle::pack
