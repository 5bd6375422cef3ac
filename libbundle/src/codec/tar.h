// The structure of tar archives, byte for byte, and a small writer.
//
// Our own code and not libarchive: a bundle splits layers at member boundaries and must give back
// every byte, so it needs the exact ranges of headers, bodies and padding, which libarchive does
// not tell. Sources: POSIX pax (IEEE 1003.1-2017, "pax Interchange Format"), GNU tar manual
// "Basic Tar Format"; where writers differ this reads as Go's archive/tar does, which wrote nearly
// all container layers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/file_system.h"
#include "io/stream.h"

namespace bundle::codec {

inline constexpr std::uint64_t kTarBlock = 512;
// One pax record block or GNU long name; Go's archive/tar has the same limit.
inline constexpr std::uint64_t kMaxTarSpecial = 1024 * 1024;
// All header records of one member together; what a scanner holds in memory at most.
inline constexpr std::uint64_t kMaxTarHeader = 2 * 1024 * 1024;
// Content of one member; far above any layer, far below an overflow of offsets.
inline constexpr std::uint64_t kMaxTarBody = std::uint64_t{1} << 50;

// One member of an archive. Offsets and sizes in bytes of the (uncompressed) tar stream.
struct TarMember {
  std::uint64_t header_offset = 0;  // of its first record: pax, GNU long name, or the header itself
  std::uint64_t body_offset = 0;    // header_offset + all header records; a multiple of 512 apart
  std::uint64_t body_size = 0;      // stored content, without padding
  char type = '0';                  // typeflag as stored, '\0' given as '0'
  bool sparse = false;              // GNU or pax sparse: the body is a map and pieces, not the file
  std::string path;                 // as stored; may be hostile
  std::string link_target;          // of types '1' and '2'
  std::uint32_t mode = 0;           // permission bits

  bool is_file() const { return (type == '0' || type == '7') && !sparse; }
  // Where the padding ends and the next header begins.
  std::uint64_t end_offset() const {
    return body_offset + (body_size + kTarBlock - 1) / kTarBlock * kTarBlock;
  }
};

// Why and where a stream stopped being a tar archive.
struct TarFault {
  std::uint64_t offset = 0;
  std::string reason;  // "header checksum does not match"
};

// Receives the parts of a stream. The calls come in stream order and together carry every byte of
// it exactly once, so that joining them gives the stream back.
class TarVisitor {
 public:
  virtual ~TarVisitor() = default;
  // A member begins; `header` is all bytes of [header_offset, body_offset) at once.
  virtual void on_member(const TarMember& member, ByteView header) = 0;
  // Content of the last member, in pieces as they arrive; never empty.
  virtual void on_body(ByteView bytes) = 0;
  // From the end of the content to the next block boundary (fewer than 512 bytes, maybe no zeros).
  virtual void on_padding(ByteView bytes) = 0;
  // The end-of-archive blocks and what follows; after a fault everything from the faulty header.
  virtual void on_tail(ByteView bytes) = 0;
};

// How to take what tar readers understand differently: two pax headers for one member, a global
// size, content behind a link or a directory.
enum class TarRules : std::uint8_t {
  as_go,   // as Go's archive/tar does; a wrong guess only costs a worse split
  strict,  // a fault
};

// Splits a stream at tar structure while it passes. Never throws for what it reads: from the first
// byte that is no well-formed tar the rest is one tail and fault() says why. Not thread-safe.
// Peak memory: kMaxTarHeader (a few KiB in practice).
class TarScanner final : public Sink {
 public:
  explicit TarScanner(TarVisitor& visitor, TarRules rules = TarRules::as_go)
      : visitor_(visitor), rules_(rules) {}

  void write(ByteView bytes) override;
  // The stream ended: hands out what is held back. A stream that ends inside a member is a fault;
  // one that ends cleanly between members without end blocks is not (as GNU tar and Go read it).
  void finish();

  // Bytes of body and padding ahead that a caller with random access may skip() instead of write().
  std::uint64_t skippable() const { return body_left_ + padding_left_; }
  void skip(std::uint64_t count);  // at most skippable(); the visitor does not see these bytes

  bool ended() const { return state_ == State::tail; }  // end blocks or a fault were met
  const std::optional<TarFault>& fault() const { return fault_; }
  std::uint64_t offset() const { return offset_; }  // bytes taken so far

 private:
  enum class State : std::uint8_t { header, special, sparse_map, body, padding, tail };
  struct Overrides {  // what pax and GNU records say about the member that follows
    std::optional<std::string> path;
    std::optional<std::string> link_target;
    std::optional<std::string> size;
    bool sparse = false;
    std::string seen;  // types of the special records so far
  };

  std::size_t collect(ByteView bytes);
  std::size_t pass_content(ByteView bytes);
  void take_step();
  void take_header();
  void take_special();
  void take_sparse_map();
  void begin_special(ByteView block, char type);
  void begin_member(ByteView block, char stored_type);
  void end_member_header();
  void override_with(std::optional<std::string>& slot, std::string value);
  void apply_pax(ByteView records, bool global);
  void advance();
  void fail(std::string reason);
  void fail_at(std::uint64_t offset, std::string reason);

  TarVisitor& visitor_;
  TarRules rules_;
  State state_ = State::header;
  std::uint64_t offset_ = 0;
  Bytes held_;                        // header records of the member that begins
  std::uint64_t wanted_ = kTarBlock;  // size of held_ at which the next step can be taken
  std::uint64_t special_size_ = 0;    // of the record whose content ends at wanted_, unpadded
  char special_type_ = '\0';
  TarMember member_;
  Overrides overrides_;
  std::uint64_t body_left_ = 0;
  std::uint64_t padding_left_ = 0;
  std::optional<TarFault> fault_;
};

// Limits of index_tar: enough for an archive of thousands of images, small in memory.
inline constexpr std::size_t kMaxTarIndexMembers = 262'144;
inline constexpr std::uint64_t kMaxTarIndexNames = 32 * 1024 * 1024;  // bytes of all paths

// All members of an archive file in order, read by header only (bodies are skipped by offset).
// Strict: throws Error{archive_invalid} naming file and offset for what two tar readers could
// understand differently, for a missing end and for a truncated file; Error{limit}.
std::vector<TarMember> index_tar(const ReadableFile& file);

// Writes POSIX ustar, with a pax record only for a member whose path or size needs one. Same
// entries give same bytes: uid and gid 0, no names. Not thread-safe; memory 256 KiB.
class TarWriter {
 public:
  explicit TarWriter(Sink& sink) : sink_(sink) {}

  // A regular file whose content is exactly `size` bytes of `body`; throws Error{io_error} naming
  // the path when the source is shorter or longer.
  void add_file(const std::string& path, std::uint32_t mode, UnixTime mtime, std::uint64_t size,
                Source& body);
  void add_directory(const std::string& path, std::uint32_t mode, UnixTime mtime);
  // The two end blocks.
  void finish();

 private:
  void write_header(const std::string& path, char type, std::uint32_t mode, UnixTime mtime,
                    std::uint64_t size);
  void pad(std::uint64_t size);

  Sink& sink_;
};

}  // namespace bundle::codec
