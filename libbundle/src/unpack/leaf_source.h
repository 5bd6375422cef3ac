// Where leaves come from: the seam between carriers (volumes on sticks, staged leaves, later HTTP
// ranges) and the one reader that checks them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bundle::unpack {

// Thread-safe.
class LeafSource {
 public:
  virtual ~LeafSource() = default;
  virtual bool has(std::uint32_t leaf) const = 0;
  // How many independent copies of the leaf there are; 0 when has() is false.
  virtual std::size_t copies(std::uint32_t leaf) const = 0;
  // Fills `buffer` (the leaf's size) from copy number `copy`. Nothing is checked here.
  // Throws Error{media_unreadable|volume_truncated}.
  virtual void read(std::uint32_t leaf, std::size_t copy, std::span<std::uint8_t> buffer) const = 0;
  // For messages: "/media/stick/app.bundle at offset 1234".
  virtual std::string where(std::uint32_t leaf, std::size_t copy) const = 0;
};

}  // namespace bundle::unpack
