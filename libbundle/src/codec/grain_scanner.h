// Finds the compressed grains of a disk (VMDK, streamOptimized), alone or within an OVA.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "io/stream.h"

namespace bundle::codec {

// Receives a file in order: `other` and the deflate streams of all grains are every byte, once.
class GrainVisitor {
 public:
  virtual ~GrainVisitor() = default;
  virtual void on_other(ByteView bytes) = 0;
  // A raw deflate stream and all that it inflates to.
  virtual void on_grain(ByteView deflate, ByteView plain) = 0;
};

// A grain begins on a sector of 512 bytes: number of its first sector (8), size (4), then a zlib
// stream (RFC 1950) of that size. Nothing else of the file is looked at, so that it does not matter
// where in it the disk begins, and what only looks like a grain is harmless: one is reported when
// it inflates to its end and has the right checksum.
// Push parser. Memory: kMaxPacked and kMaxPlain. Not thread-safe.
class GrainScanner final : public Sink {
 public:
  static constexpr std::size_t kMaxPacked = 96 << 10;
  static constexpr std::size_t kMaxPlain = 64 << 10;

  explicit GrainScanner(GrainVisitor& visitor);
  ~GrainScanner() override;

  void write(ByteView bytes) override;
  void finish();

 private:
  static constexpr std::size_t kSector = 512;
  static constexpr std::size_t kMarker = 12;
  struct Inflater;

  void scan(bool last);

  GrainVisitor& visitor_;
  std::unique_ptr<Inflater> inflater_;
  Bytes held_;  // from a sector's start on
};

}  // namespace bundle::codec
