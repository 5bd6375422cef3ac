// Reads the blobs that a delta builds on, out of the site store.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "codec/inflate_cursor.h"
#include "format/recipe.h"
#include "io/file_system.h"

namespace bundle::unpack {

// The base blobs of one bundle. Thread-safe. Memory: at most about 16 MiB of places where inflating
// can begin, whatever the size of the base.
class BaseReader {
 public:
  using Open = std::function<std::unique_ptr<ReadableFile>(const format::BlobEntry&)>;

  // `blobs` as in bases.list; not owned.
  BaseReader(const std::vector<format::BlobEntry>& blobs, Open open);

 private:
  friend class BaseCursors;
  const std::vector<format::BlobEntry>& blobs_;
  Open open_;
  std::vector<std::unique_ptr<codec::InflatePoints>> points_;
};

// One thread's view: a few files stay open, each with its place, so that runs in the order of the
// base are one forward read. Memory: kMaxOpen times 250 KiB.
class BaseCursors {
 public:
  static constexpr std::size_t kMaxOpen = 8;

  explicit BaseCursors(BaseReader& base) : base_(base) {}

  // The bytes of a run from a base source. Throws what BaseReader::Open throws, and
  // Error{store_corrupt}.
  void copy(const format::Run& run, Sink& out);

 private:
  struct Cursor {
    std::uint32_t blob = 0;
    std::unique_ptr<ReadableFile> file;
    std::unique_ptr<codec::InflateCursor> inflate;  // made at the first inflated run
  };
  Cursor& cursor(std::uint32_t blob);
  static void copy_raw(const Cursor& cursor, const format::Run& run, Sink& out);

  BaseReader& base_;
  std::list<Cursor> open_;  // last used first
};

}  // namespace bundle::unpack
