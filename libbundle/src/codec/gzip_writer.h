// Plain reproducible gzip output, for archives that this system makes itself (charts).
// Replaying foreign gzip streams is another thing: codec/deflate_encoder.h.
#pragma once

#include <memory>

#include "io/stream.h"

namespace bundle::codec {

// Writes one gzip member (RFC 1952): zlib level 9 and a fixed 10-byte header (no name, mtime 0,
// OS unknown), so that the bytes depend on the content and the zlib version only.
// Not thread-safe. Memory: 300 KiB.
class GzipWriter final : public Sink {
 public:
  explicit GzipWriter(Sink& sink);  // must outlive the writer
  ~GzipWriter() override;
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  void write(ByteView bytes) override;
  // Writes the trailer; nothing may be written afterwards.
  void finish();

 private:
  struct State;
  void pump(int flush);

  Sink& sink_;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::codec
