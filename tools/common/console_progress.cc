#include "common/console_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "common/cli.h"

namespace bundle::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kInterval = std::chrono::milliseconds(200);

class TerminalProgress final : public Progress {
 public:
  ~TerminalProgress() override { clear(); }

  void phase(std::string_view phase, std::uint64_t total_bytes) override {
    phase_ = phase;
    total_ = total_bytes;
    start_ = Clock::now();
    shown_ = {};
    show(0);
  }
  void advance(std::uint64_t done_bytes) override {
    if (Clock::now() - shown_ < kInterval) return;
    show(done_bytes);
  }
  void note(std::string_view message) override {
    clear();
    fmt::print(stderr, "{}\n", message);
  }

 private:
  static void clear() { fmt::print(stderr, "\r\033[K"); }

  void show(std::uint64_t done) {
    shown_ = Clock::now();
    const double seconds = std::chrono::duration<double>(shown_ - start_).count();
    clear();
    fmt::print(stderr, "{}", phase_);
    if (total_ > 0) {
      fmt::print(stderr, ": {:3.0f} % of {}",
                 100.0 * static_cast<double>(done) / static_cast<double>(total_),
                 format_size(total_));
    }
    if (done > 0 && seconds > 0.5) {
      const double rate = static_cast<double>(done) / seconds;
      fmt::print(stderr, ", {}/s", format_size(static_cast<std::uint64_t>(rate)));
      if (total_ > done) {
        const auto left = static_cast<std::uint64_t>(static_cast<double>(total_ - done) / rate);
        fmt::print(stderr, ", {}:{:02} left", left / 60, left % 60);
      }
    }
    static_cast<void>(std::fflush(stderr));
  }

  std::string phase_;
  std::uint64_t total_ = 0;
  Clock::time_point start_;
  Clock::time_point shown_;
};

class LogProgress final : public Progress {
 public:
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void note(std::string_view message) override { fmt::print(stderr, "{}\n", message); }
};

}  // namespace

std::unique_ptr<Progress> make_console_progress() {
  if (::isatty(STDERR_FILENO) == 1) return std::make_unique<TerminalProgress>();
  return std::make_unique<LogProgress>();
}

}  // namespace bundle::tools
