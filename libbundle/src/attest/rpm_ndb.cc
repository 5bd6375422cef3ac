#include "attest/rpm_ndb.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "attest/rpm_header.h"
#include "codec/adler32.h"

namespace bundle::attest {
namespace {

// All numbers are little-endian. A file is pages of slots, then blobs at multiples of 16 bytes.
constexpr std::string_view kFileMagic = "RpmP";
constexpr std::string_view kSlotMagic = "Slot";
constexpr std::string_view kBlobMagic = "BlbS";
constexpr std::string_view kBlobEndMagic = "BlbE";
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kBlock = 16;
constexpr std::size_t kSlot = 16;
constexpr std::size_t kFileHeader = 32;
constexpr std::size_t kBlobHead = 16;  // magic, package, generation, length
constexpr std::size_t kBlobTail = 12;  // Adler-32 of all before it, length, magic

struct Slot {
  std::uint32_t package, first_block, blocks;
};

std::uint32_t number_at(ByteView bytes, std::size_t at) {
  return load_le<std::uint32_t>(&bytes[at]);
}

bool has_magic(ByteView bytes, std::size_t at, std::string_view magic) {
  return as_text(bytes.subspan(at)).starts_with(magic);
}

// The slots in use, by place; empty with a problem.
std::vector<Slot> read_slots(ByteView file, std::string& problem) {
  std::vector<Slot> slots;
  const std::uint64_t pages = file.size() < kFileHeader ? 0 : number_at(file, 12);
  if (pages == 0 || pages > file.size() / kPage || number_at(file, 4) != 0) {
    problem = "its header is malformed, or of a newer format";
    return slots;
  }
  const auto fail = [&](std::string_view reason) {
    problem = reason;
    return std::vector<Slot>();
  };
  const std::uint64_t first_block = pages * kPage / kBlock;
  for (std::size_t at = kFileHeader; at < pages * kPage; at += kSlot) {
    if (!has_magic(file, at, kSlotMagic)) return fail("a slot is malformed");
    const Slot slot{number_at(file, at + 4), number_at(file, at + 8), number_at(file, at + 12)};
    if (slot.first_block == 0) continue;
    if (slot.package == 0 || slot.blocks == 0 || slot.first_block < first_block ||
        std::uint64_t{slot.first_block} + slot.blocks > file.size() / kBlock) {
      return fail("a slot points outside");
    }
    slots.push_back(slot);
  }
  std::ranges::sort(slots, {}, &Slot::first_block);
  const auto overlap = [](const Slot& one, const Slot& next) {
    return std::uint64_t{one.first_block} + one.blocks > next.first_block;
  };
  if (std::ranges::adjacent_find(slots, overlap) != slots.end()) return fail("slots overlap");
  return slots;
}

// The header in a slot's blocks; empty when they are damaged.
ByteView content_of(ByteView blob, const Slot& slot) {
  if (blob.size() < kBlobHead + kBlobTail || !has_magic(blob, 0, kBlobMagic)) return {};
  const ByteView tail = blob.last(kBlobTail);
  const std::uint64_t length = number_at(blob, 12);
  const std::uint64_t blocks = (kBlobHead + length + kBlobTail + kBlock - 1) / kBlock;
  if (number_at(blob, 4) != slot.package || blocks != slot.blocks) return {};
  if (number_at(tail, 4) != length || !has_magic(tail, 8, kBlobEndMagic)) return {};
  if (number_at(tail, 0) != codec::adler32(blob.first(blob.size() - kBlobTail))) return {};
  return blob.subspan(kBlobHead, static_cast<std::size_t>(length));
}

}  // namespace

bool is_rpm_ndb(ByteView file) {
  return as_text(file).starts_with(kFileMagic);
}

std::string read_rpm_ndb(ByteView file, const std::function<void(ByteView)>& take) {
  if (!is_rpm_ndb(file)) return "not an ndb database";
  std::string problem;
  for (const Slot& slot : read_slots(file, problem)) {
    const ByteView header =
        content_of(file.subspan(slot.first_block * kBlock, slot.blocks * kBlock), slot);
    if (header.empty()) {
      problem = fmt::format("the entry of package {} is damaged", slot.package);
    } else {
      take(header);
    }
  }
  return problem;
}

}  // namespace bundle::attest
