// Reads what a gzip file inflates to at any offset, mostly forward.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/bytes.h"
#include "io/file_system.h"
#include "io/stream.h"

namespace bundle::codec {

// Where inflating of one file can begin: block ends with the 32 KiB before them (the method of
// zlib's examples/zran.c, "Random access to a compressed stream"). Filled by the cursors that pass.
// Thread-safe. Memory: 32 KiB for every `spacing` plain bytes that some cursor has passed.
class InflatePoints {
 public:
  struct Point {
    std::uint64_t plain = 0;   // plain bytes before it
    std::uint64_t packed = 0;  // file offset of the next whole byte
    int bits = 0;              // bits of the byte before that belong behind the point
    std::shared_ptr<const Bytes> window;
  };

  explicit InflatePoints(std::uint64_t spacing) : spacing_(spacing) {}

  std::optional<Point> last_before(std::uint64_t plain) const;
  bool wants(std::uint64_t plain) const;
  void add(Point point);

 private:
  std::uint64_t spacing_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Point> points_;
};

// All members of the file one after the other; what follows the last one is not part of it.
// Not thread-safe; neither file nor points are owned. Memory: 180 KiB.
class InflateCursor {
 public:
  InflateCursor(const ReadableFile& file, InflatePoints& points);
  ~InflateCursor();
  InflateCursor(const InflateCursor&) = delete;
  InflateCursor& operator=(const InflateCursor&) = delete;

  // Writes the plain bytes [offset, offset + length) to `out`. Throws Error{store_corrupt} naming
  // the file when it is damaged or inflates to less.
  void copy(std::uint64_t offset, std::uint64_t length, Sink& out);

 private:
  struct State;

  void seek(std::uint64_t offset);
  void restart();
  void restore(const InflatePoints::Point& point);
  void fill();
  bool refill();
  void end_member();
  void note_point();
  [[noreturn]] void fail(std::string_view reason) const;

  const ReadableFile& file_;
  InflatePoints& points_;
  std::unique_ptr<State> state_;
};

}  // namespace bundle::codec
