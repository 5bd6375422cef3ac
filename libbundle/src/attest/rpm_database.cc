#include "attest/rpm_database.h"

#include <fmt/format.h>

#include "attest/berkeley_hash.h"
#include "attest/language_packages.h"
#include "attest/rpm_header.h"
#include "attest/rpm_ndb.h"
#include "codec/sqlite_column.h"

namespace bundle::attest {
namespace {

// rpm keeps the next free number under number 0, which is no package's.
constexpr std::size_t kKeyBytes = 4;

bool is_counter(ByteView key) {
  return as_text(key) == std::string_view("\0\0\0\0", kKeyBytes);
}

class Collector {
 public:
  void take(ByteView header) {
    ++headers_;
    PackageList one = parse_rpm_header(header);
    for (Package& package : one.packages) add_package(list_, std::move(package));
    if (one.problem.empty()) return;
    if (bad_++ == 0) first_problem_ = one.problem;
  }

  // `problem` is that of the database itself.
  PackageList finish(std::string problem) {
    if (problem.empty() && bad_ > 0) {
      problem = fmt::format("{} of {} package headers cannot be read: {}", bad_, headers_,
                            first_problem_);
    }
    if (!problem.empty()) list_.problem = std::move(problem);
    return std::move(list_);
  }

 private:
  PackageList list_;
  std::size_t headers_ = 0;
  std::size_t bad_ = 0;
  std::string first_problem_;
};

}  // namespace

PackageList parse_rpm_database(std::span<std::uint8_t> file) {
  Collector collector;
  const auto take = [&](ByteView header) { collector.take(header); };
  if (codec::is_sqlite(file)) {
    return collector.finish(codec::read_sqlite_column(
        file, {"Packages", "blob"}, {kMaxRpmHeaderBytes, kMaxPackagesOfFile}, take));
  }
  if (is_rpm_ndb(file)) return collector.finish(read_rpm_ndb(file, take));
  if (is_berkeley_hash(file)) {
    return collector.finish(
        read_berkeley_hash(file, kMaxRpmHeaderBytes, [&](ByteView key, ByteView value) {
          if (!is_counter(key)) take(value);
        }));
  }
  return collector.finish("it is no rpm database: neither SQLite nor ndb nor Berkeley DB");
}

}  // namespace bundle::attest
