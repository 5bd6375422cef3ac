#include "base/time.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>

#include "bundle/error.h"

namespace bundle {
namespace {

using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:ddZ";

bool has_shape(std::string_view text) {
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == 'd' ? !digit : text[i] != kShape[i]) return false;
  }
  return true;
}

int number_at(std::string_view text, std::size_t from, std::size_t digits) {
  int value = 0;
  for (std::size_t i = from; i < from + digits; ++i) value = value * 10 + (text[i] - '0');
  return value;
}

}  // namespace

std::string format_time(UnixTime time) {
  const std::chrono::sys_seconds point{std::chrono::seconds{time}};
  const auto day = std::chrono::floor<std::chrono::days>(point);
  const year_month_day date{day};
  const std::chrono::hh_mm_ss clock{point - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<UnixTime> parse_time(std::string_view text) {
  if (!has_shape(text)) return std::nullopt;
  const year_month_day date{std::chrono::year{number_at(text, 0, 4)},
                            std::chrono::month{static_cast<unsigned>(number_at(text, 5, 2))},
                            std::chrono::day{static_cast<unsigned>(number_at(text, 8, 2))}};
  const int hour = number_at(text, 11, 2);
  const int minute = number_at(text, 14, 2);
  const int second = number_at(text, 17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const UnixTime days = sys_days{date}.time_since_epoch().count();
  return days * 86400 + hour * 3600 + minute * 60 + second;
}

UnixTime current_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

UnixTime build_time() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr) return current_time();
  const std::string_view digits = text;
  UnixTime value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc{} || end != digits.data() + digits.size() || value < 0) {
    throw Error(ErrorCode::usage, fmt::format("SOURCE_DATE_EPOCH is not a number: '{}'", text),
                "Set it to seconds since 1970, or unset it.");
  }
  return value;
}

}  // namespace bundle
