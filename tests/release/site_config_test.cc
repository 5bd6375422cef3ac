#include "release/site_config.h"

#include <gtest/gtest.h>

#include "bundle/error.h"
#include "io/file_system.h"
#include "support/expect_error.h"

namespace bundle::release {
namespace {

SiteConfig parse(const std::string& more) {
  return parse_site_config("apiVersion: bundle/v1\nkind: Site\n" + more, "site.yaml");
}

UnixTime at(const char* text) {
  return *parse_time(text);
}

TEST(SiteConfig, ReadsEverything) {
  const SiteConfig config = parse(
      "platform: linux/arm64\n"
      "maintenanceWindows:\n"
      "- {days: [sat, sun], from: 22:00, to: \"02:30\"}\n"
      "- {from: 03:00, to: 04:00}\n"
      "hooks: {timeLimitSeconds: 60}\n");
  EXPECT_EQ(config.platform, "linux/arm64");
  ASSERT_EQ(config.maintenance_windows.size(), 2U);
  EXPECT_EQ(config.maintenance_windows[0].text(), "sat sun 22:00-02:30 UTC");
  EXPECT_EQ(config.maintenance_windows[1].text(), "03:00-04:00 UTC");
  EXPECT_EQ(config.hook_time_limit, std::chrono::seconds(60));
  EXPECT_TRUE(parse("").maintenance_windows.empty());
  EXPECT_EQ(parse("").hook_time_limit, std::chrono::minutes(15));
}

TEST(SiteConfig, OfTheOperatorsGuideIsRight) {
  const std::string guide = read_text_file(
      posix_file_system(), Path(BUNDLE_SOURCE_DIR) / "docs/operator-guide.md", 1 << 20);
  const std::size_t begin = guide.find("```yaml\n") + 8;
  const std::string sample = guide.substr(begin, guide.find("```", begin) - begin);
  EXPECT_EQ(parse_site_config(sample, "sample").maintenance_windows.size(), 1U);
}

TEST(SiteConfig, RefusesWhatItDoesNotKnowNamingTheLine) {
  for (const char* more : {"maintenanceWindow: []\n", "maintenanceWindows: []\n",
                           "maintenanceWindows: [{from: 24:00, to: 01:00}]\n",
                           "maintenanceWindows: [{days: [monday], from: 01:00, to: 02:00}]\n",
                           "maintenanceWindows: [{days: [], from: 01:00, to: 02:00}]\n",
                           "maintenanceWindows: [{from: 01:00}]\n", "platform: amd64\n",
                           "hooks: {timeLimitSeconds: 0}\n"}) {
    try {
      parse(more);
      ADD_FAILURE() << "accepted: " << more;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::config_invalid) << more;
      EXPECT_NE(error.message().find("site.yaml:3:"), std::string::npos) << error.message();
      EXPECT_FALSE(error.hint().empty());
    }
  }
  testing::expect_error(ErrorCode::config_invalid, [] { parse_site_config("kind: Site\n", "s"); });
  testing::expect_error(ErrorCode::limit, [] {
    parse_site_config(std::string(kMaxSiteConfigBytes + 1, '#'), "site.yaml");
  });
}

TEST(MaintenanceWindow, IsOpenFromItsFirstMinuteToItsLast) {
  MaintenanceWindow night;  // Saturday night, into Sunday
  night.days = 1U << 5;
  night.from = 22 * 60;
  night.to = 2 * 60;
  EXPECT_FALSE(night.is_open(at("2026-11-28T21:59:59Z")));
  EXPECT_TRUE(night.is_open(at("2026-11-28T22:00:00Z")));
  EXPECT_TRUE(night.is_open(at("2026-11-29T01:59:59Z")));
  EXPECT_FALSE(night.is_open(at("2026-11-29T02:00:00Z")));
  EXPECT_FALSE(night.is_open(at("2026-11-29T22:00:00Z")));
  EXPECT_EQ(format_time(night.next_opening(at("2026-11-28T21:59:59Z"))), "2026-11-28T22:00:00Z");
  EXPECT_EQ(format_time(night.next_opening(at("2026-11-28T22:00:30Z"))), "2026-12-05T22:00:00Z");
  EXPECT_EQ(format_time(night.next_opening(at("2026-11-29T02:00:00Z"))), "2026-12-05T22:00:00Z");
}

// The week ends in the middle of this one.
TEST(MaintenanceWindow, GoesOverTheEndOfTheWeek) {
  MaintenanceWindow window;
  window.days = 1U << 6;  // Sunday
  window.from = 23 * 60;
  window.to = 60;
  EXPECT_TRUE(window.is_open(at("2026-11-30T00:59:59Z")));
  EXPECT_FALSE(window.is_open(at("2026-11-30T01:00:00Z")));
}

TEST(MaintenanceWindow, OfEqualTimesLastsADay) {
  MaintenanceWindow window;
  window.days = 1U << 0;  // Monday
  window.from = window.to = 12 * 60;
  EXPECT_FALSE(window.is_open(at("2026-11-30T11:59:59Z")));
  EXPECT_TRUE(window.is_open(at("2026-11-30T12:00:00Z")));
  EXPECT_TRUE(window.is_open(at("2026-12-01T11:59:59Z")));
  EXPECT_FALSE(window.is_open(at("2026-12-01T12:00:00Z")));
  EXPECT_TRUE(MaintenanceWindow{}.is_open(0));
}

}  // namespace
}  // namespace bundle::release
