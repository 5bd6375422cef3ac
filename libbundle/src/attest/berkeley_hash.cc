#include "attest/berkeley_hash.h"

#include <fmt/format.h>

#include <bit>
#include <optional>
#include <vector>

namespace bundle::attest {
namespace {

constexpr std::uint32_t kHashMagic = 0x00061561;
constexpr std::size_t kMetaBytes = 512;
constexpr std::size_t kPageHeader = 26;
constexpr std::uint32_t kMinPage = 512;
constexpr std::uint32_t kMaxPage = 65'536;
constexpr std::uint32_t kOldestVersion = 8;
constexpr std::uint32_t kNewestVersion = 10;
constexpr std::uint8_t kChecksums = 1;  // of the flags of the first page

// Places in the first page.
constexpr std::size_t kMetaMagic = 12;
constexpr std::size_t kMetaVersion = 16;
constexpr std::size_t kMetaPageSize = 20;
constexpr std::size_t kMetaEncryption = 24;
constexpr std::size_t kMetaType = 25;
constexpr std::size_t kMetaFlags = 26;
constexpr std::size_t kMetaLastPage = 32;
// And in any page.
constexpr std::size_t kPageNumber = 8;
constexpr std::size_t kPageNext = 16;
constexpr std::size_t kPageEntries = 20;
constexpr std::size_t kPageLength = 22;  // of an overflow page: bytes used
constexpr std::size_t kPageType = 25;

enum PageType : std::uint8_t {
  kUnsortedHash = 2,
  kOverflow = 7,
  kHashMeta = 8,
  kHash = 13,
};

enum ItemType : std::uint8_t {
  kOnPage = 1,
  kOffPage = 3,
};
constexpr std::size_t kOffPageItem = 12;  // type, three bytes, first page, length

class HashFile {
 public:
  HashFile(ByteView file, std::uint32_t max_value) : file_(file), max_value_(max_value) {}

  std::string open() {
    if (file_.size() < kMetaBytes) return "ends early";
    swapped_ = load_le<std::uint32_t>(&file_[kMetaMagic]) != kHashMagic;
    if (number32(file_, kMetaMagic) != kHashMagic || file_[kMetaType] != kHashMeta) {
      return "not a hash database of Berkeley DB";
    }
    const std::uint32_t version = number32(file_, kMetaVersion);
    if (version < kOldestVersion || version > kNewestVersion) {
      return fmt::format("version {} of Berkeley DB's hash format is not read", version);
    }
    if (file_[kMetaEncryption] != 0 || (file_[kMetaFlags] & kChecksums) != 0) {
      return "encrypted databases, and those with checksums, are not read";
    }
    page_size_ = number32(file_, kMetaPageSize);
    last_page_ = number32(file_, kMetaLastPage);
    if (page_size_ < kMinPage || page_size_ > kMaxPage || !std::has_single_bit(page_size_) ||
        last_page_ >= file_.size() / page_size_) {
      return "its sizes do not add up";
    }
    used_.resize(std::size_t{last_page_} + 1);
    return {};
  }

  // Buckets are chains of pages, but every page of type hash is in one: freed ones lose their type.
  std::string read(const std::function<void(ByteView, ByteView)>& take) {
    std::string problem;
    for (std::uint32_t number = 1; number <= last_page_; ++number) {
      const ByteView page = file_.subspan(std::size_t{number} * page_size_, page_size_);
      if (page[kPageType] != kHash && page[kPageType] != kUnsortedHash) continue;
      if (number32(page, kPageNumber) != number || !read_page(page, take)) {
        problem = fmt::format("page {} is malformed", number);
      }
    }
    return problem;
  }

 private:
  std::uint32_t number32(ByteView bytes, std::size_t at) const {
    const auto value = load_le<std::uint32_t>(&bytes[at]);
    if (!swapped_) return value;
    return value >> 24 | (value >> 8 & 0xFF00U) | (value << 8 & 0xFF0000U) | value << 24;
  }
  std::uint32_t number16(ByteView bytes, std::size_t at) const {
    const std::uint32_t value = load_le<std::uint16_t>(&bytes[at]);
    return swapped_ ? value >> 8 | (value << 8 & 0xFF00U) : value;
  }

  // Items are written from the end of a page to its start: key, value, key, value ...
  bool read_page(ByteView page, const std::function<void(ByteView, ByteView)>& take) {
    const std::uint32_t entries = number16(page, kPageEntries);
    const std::size_t first = kPageHeader + std::size_t{entries} * 2;
    if (entries % 2 != 0 || first > page.size()) return false;
    std::size_t end = page.size();
    ByteView key;
    for (std::uint32_t i = 0; i < entries; ++i) {
      const std::size_t start = number16(page, kPageHeader + std::size_t{i} * 2);
      if (start < first || start >= end) return false;
      const auto item = read_item(page.subspan(start, end - start), i % 2 == 0 ? key_ : value_);
      if (!item) return false;
      if (i % 2 == 0) {
        key = *item;
      } else {
        take(key, *item);
      }
      end = start;
    }
    return true;
  }

  std::optional<ByteView> read_item(ByteView item, Bytes& room) {
    if (item[0] == kOnPage) return item.subspan(1);
    if (item[0] != kOffPage || item.size() != kOffPageItem) return std::nullopt;
    return read_overflow(number32(item, 4), number32(item, 8), room);
  }

  std::optional<ByteView> read_overflow(std::uint32_t number, std::uint32_t length, Bytes& room) {
    room.clear();
    if (length == 0 || length > max_value_) return std::nullopt;
    while (room.size() < length) {
      if (number == 0 || number > last_page_ || used_[number]) return std::nullopt;
      used_[number] = true;
      const ByteView page = file_.subspan(std::size_t{number} * page_size_, page_size_);
      const std::size_t part = number16(page, kPageLength);
      if (page[kPageType] != kOverflow || number32(page, kPageNumber) != number || part == 0 ||
          part > page.size() - kPageHeader || part > length - room.size()) {
        return std::nullopt;
      }
      const ByteView bytes = page.subspan(kPageHeader, part);
      room.insert(room.end(), bytes.begin(), bytes.end());
      number = number32(page, kPageNext);
    }
    return room;
  }

  ByteView file_;
  std::uint32_t max_value_;
  bool swapped_ = false;
  std::uint32_t page_size_ = 0;
  std::uint32_t last_page_ = 0;
  std::vector<bool> used_;  // overflow pages that were read
  Bytes key_;
  Bytes value_;
};

}  // namespace

bool is_berkeley_hash(ByteView file) {
  if (file.size() < kMetaBytes) return false;
  const auto magic = load_le<std::uint32_t>(&file[kMetaMagic]);
  constexpr std::uint32_t kSwapped = 0x61150600;
  return magic == kHashMagic || magic == kSwapped;
}

std::string read_berkeley_hash(ByteView file, std::uint32_t max_value,
                               const std::function<void(ByteView key, ByteView value)>& take) {
  HashFile hash(file, max_value);
  std::string problem = hash.open();
  return problem.empty() ? hash.read(take) : problem;
}

}  // namespace bundle::attest
