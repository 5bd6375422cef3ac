// First reading of a blob: is it gzip, and which encoder made each member?
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "bundle/progress.h"
#include "codec/gzip_parser.h"
#include "codec/stream_parts.h"
#include "io/stream.h"
#include "spec/resolve.h"

namespace bundle::pack {

struct GzipAnalysis {
  bool is_gzip = false;
  // Per member the encoder that was proven to give its deflate bytes back; nothing: keep it as it
  // is. Empty when the blob is no whole gzip file.
  std::vector<std::optional<codec::EncoderSpec>> members;
  // By number of the member, what precedes the plain bytes: corrections (codec::kTokenFamily), or
  // the bits of verbatim parts.
  std::map<std::size_t, Bytes> corrections;
  // Of members that can be made in several parts, by number.
  std::map<std::size_t, std::vector<codec::StreamPart>> parts;
  std::uint64_t replayed_bytes = 0;  // deflate bytes of members with an encoder

  bool any_replayed() const { return replayed_bytes > 0; }
};

inline constexpr std::size_t kMaxBlobCorrections = std::size_t{64} << 20;

// Reads the start of a blob that is not gzip, all of one that is; again when members are left whose
// encoder is unknown: for those the generic coder is tried (codec/token_coder.h). What the blob
// inflates to goes to `plain`, too, at the first reading, unless that is null.
// Members whose encoder costs more than `import_budget` (codec::replay_cost(); 0: any) stay as they
// are. Memory: an encoder match (codec/encoder_match.h) and one read buffer; then a token coder,
// and kMaxBlobCorrections of corrections.
GzipAnalysis analyse_gzip(const spec::BlobInput& blob, const Cancel& cancel, Sink* plain = nullptr,
                          unsigned import_budget = 0);

// Gives on what a gzip blob inflates to, like analyse_gzip(), and other blobs as they are.
class PlainTap final : public Sink {
 public:
  explicit PlainTap(Sink& plain) : plain_(plain), visitor_(plain), parser_(visitor_) {}
  void write(ByteView part) override;

 private:
  struct Visitor final : codec::GzipVisitor {
    explicit Visitor(Sink& out) : plain(out) {}
    void on_header(ByteView) override {}
    void on_deflate(ByteView) override {}
    void on_plain(ByteView bytes) override { plain.write(bytes); }
    void on_trailer(ByteView) override {}
    void on_rest(ByteView) override {}
    Sink& plain;
  };

  Sink& plain_;
  Visitor visitor_;
  codec::GzipParser parser_;
  std::optional<bool> is_gzip_;
};

}  // namespace bundle::pack
