#include "attest/rpm_header.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "attest/language_packages.h"
#include "codec/utf8.h"

namespace bundle::attest {
namespace {

enum Tag : std::uint32_t {
  kHeaderImage = 61,
  kHeaderImmutable = 63,
  kFirstTag = 100,
  kName = 1000,
  kVersion = 1001,
  kRelease = 1002,
  kEpoch = 1003,
  kVendor = 1011,
  kLicense = 1014,
  kArch = 1022,
  kSourceRpm = 1044,
};

enum Type : std::uint32_t {
  kChar = 1,
  kInt32 = 4,
  kString = 6,
  kBinary = 7,
  kStringArray = 8,
  kTranslated = 9,
};

constexpr std::size_t kPreamble = 8;
constexpr std::size_t kEntry = 16;
constexpr std::array<std::uint32_t, 10> kTypeAlignment{1, 1, 1, 2, 4, 8, 1, 1, 1, 1};  // by type

std::uint32_t load_be32(const std::uint8_t* from) {
  return std::uint32_t{from[0]} << 24 | std::uint32_t{from[1]} << 16 | std::uint32_t{from[2]} << 8 |
         from[3];
}

struct Entry {
  std::uint32_t tag, type, offset, count;
};

Entry load_entry(const std::uint8_t* from) {
  return {load_be32(from), load_be32(from + 4), load_be32(from + 8), load_be32(from + 12)};
}

class Header {
 public:
  explicit Header(ByteView bytes) : bytes_(bytes) {}

  // Why it is none; empty: it is sound, and the texts are there.
  std::string read() {
    if (bytes_.size() > kMaxRpmHeaderBytes) return "larger than what is read of a header";
    if (bytes_.size() < kPreamble) return "ends early";
    const std::uint32_t count = load_be32(bytes_.data());
    const std::uint64_t data_size = load_be32(bytes_.data() + 4);
    if (count == 0 || count > kMaxRpmHeaderTags) return fmt::format("claims {} tags", count);
    if (kPreamble + count * std::uint64_t{kEntry} + data_size != bytes_.size()) {
      return "its sizes do not add up";
    }
    data_ = bytes_.last(static_cast<std::size_t>(data_size));
    for (std::uint32_t i = 0; i < count; ++i) {
      const Entry entry = load_entry(bytes_.data() + kPreamble + i * kEntry);
      if (i == 0 && is_region(entry)) {
        if (!is_sound_region(entry, count)) return "its region is malformed";
      } else if (!is_sound(entry) || !take(entry)) {
        return fmt::format("the entry of tag {} is malformed", entry.tag);
      }
    }
    return {};
  }

  std::optional<std::string_view> name, version, release, vendor, license, arch, source_rpm;
  std::optional<std::uint32_t> epoch;

 private:
  static bool is_region(const Entry& entry) {
    return entry.tag >= kHeaderImage && entry.tag <= kHeaderImmutable;
  }

  bool fits(std::uint32_t offset, std::uint64_t size) const {
    return offset <= data_.size() && size <= data_.size() - offset;
  }

  // The first entry may say how many entries after it were signed; so does a copy of it in the
  // data, with its distance from there as a negative offset.
  bool is_sound_region(const Entry& entry, std::uint32_t entries) const {
    if (entry.type != kBinary || entry.count != kEntry || !fits(entry.offset, kEntry)) return false;
    const Entry trailer = load_entry(data_.data() + entry.offset);
    const std::uint32_t distance = 0U - trailer.offset;
    return trailer.tag == entry.tag && trailer.type == kBinary && trailer.count == kEntry &&
           distance % kEntry == 0 && distance / kEntry <= entries;
  }

  bool is_sound(const Entry& entry) const {
    if (entry.tag < kFirstTag || entry.type < kChar || entry.type > kTranslated) return false;
    if (entry.count == 0 || entry.offset % kTypeAlignment[entry.type] != 0) return false;
    if (entry.type == kString && entry.count != 1) return false;
    // A string takes a byte at least: that each ends inside is looked at when it is read.
    return fits(entry.offset, std::uint64_t{entry.count} * kTypeAlignment[entry.type]);
  }

  // False when it is not what the tag is for. What was changed after the package was made comes
  // later, and counts.
  bool take(const Entry& entry) {
    if (entry.tag == kEpoch) {
      if (entry.type != kInt32) return false;
      epoch = load_be32(&data_[entry.offset]);
    }
    auto* text = text_of(entry.tag);
    if (text == nullptr) return true;
    *text = string_at(entry);
    return text->has_value();
  }

  std::optional<std::string_view>* text_of(std::uint32_t tag) {
    switch (tag) {
      case kName:
        return &name;
      case kVersion:
        return &version;
      case kRelease:
        return &release;
      case kVendor:
        return &vendor;
      case kLicense:
        return &license;
      case kArch:
        return &arch;
      case kSourceRpm:
        return &source_rpm;
      default:
        return nullptr;
    }
  }

  // The first of its strings; nothing when it has another type, or no end.
  std::optional<std::string_view> string_at(const Entry& entry) const {
    if (entry.type != kString && entry.type != kStringArray && entry.type != kTranslated) {
      return std::nullopt;
    }
    const std::string_view rest = as_text(data_.subspan(entry.offset));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    return rest.substr(0, end);
  }

  ByteView bytes_;
  ByteView data_;
};

// What is told besides must not cost the package.
std::string note(const std::optional<std::string_view>& text) {
  return text && is_sane_text(*text, kMaxPackageNote) ? std::string(*text) : std::string();
}

}  // namespace

PackageList parse_rpm_header(ByteView bytes) {
  PackageList list;
  Header header(bytes);
  list.problem = header.read();
  if (!list.problem.empty()) return list;
  if (!header.name || !header.version || !header.release) {
    list.problem = "it has no name, version or release";
    return list;
  }
  if (*header.name == "gpg-pubkey" && !header.arch) return list;
  Package package = package_of_type("rpm");
  package.name = *header.name;
  package.version = fmt::format("{}-{}", *header.version, *header.release);
  if (header.arch) package.qualifiers["arch"] = *header.arch;
  if (header.epoch) package.qualifiers["epoch"] = std::to_string(*header.epoch);
  package.license = note(header.license);
  package.supplier = note(header.vendor);
  package.source = note(header.source_rpm);
  add_package(list, std::move(package));
  return list;
}

}  // namespace bundle::attest
