#include "registry/scrubber.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bundle::registry {
namespace {

// Within one file never slower than 16 MiB a second: while it is open, gc gets no room by removing
// it. What is left of its share of the period is waited for after it.
constexpr double kMaxNanosecondsAByte = 1e9 / (16 << 20);

std::vector<std::pair<Digest, BlobFacts>> blobs_in_any_order(const Catalog& catalog,
                                                             const PushedRepositories& pushed) {
  std::unordered_map<Digest, BlobFacts> blobs;
  for (const auto& [name, repository] : catalog.repositories) {
    blobs.insert(repository->blobs.begin(), repository->blobs.end());
  }
  std::vector<std::pair<Digest, BlobFacts>> order(blobs.begin(), blobs.end());
  blobs.clear();
  for (const auto& [name, repository] : pushed.all()) {
    blobs.insert(repository->blobs.begin(), repository->blobs.end());
  }
  order.insert(order.end(), blobs.begin(), blobs.end());
  std::shuffle(order.begin(), order.end(), std::mt19937_64(std::random_device()()));
  return order;
}

}  // namespace

Scrubber::Scrubber(const LiveCatalog& live, const PushedRepositories& pushed, BlobFiles& files,
                   std::chrono::milliseconds period, Note note)
    : live_(live), pushed_(pushed), files_(files), period_(period), note_(std::move(note)) {
  if (period_.count() > 0) thread_ = std::thread([this] { run(); });
}

Scrubber::~Scrubber() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Scrubber::sleep_for(std::chrono::nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !stop_changed_.wait_for(lock, time, [this] { return stopping_; });
}

void Scrubber::pass() {
  const auto order = blobs_in_any_order(*live_.current(), pushed_);
  std::uint64_t total = 0;
  for (const auto& [digest, facts] : order) total += facts.size;
  const double nanoseconds_a_byte =
      std::chrono::duration<double, std::nano>(period_).count() / static_cast<double>(total + 1);
  const auto all_damaged = [this] {
    auto found = files_.damaged(StorePart::releases);
    for (const Digest& digest : files_.damaged(StorePart::pushed)) found.push_back(digest);
    return found;
  };
  const std::size_t damaged_before = all_damaged().size();
  for (const auto& [digest, facts] : order) {
    double owed = 0;
    bool going = true;
    files_.scrub(digest, facts, [&](std::uint64_t bytes) {
      owed += nanoseconds_a_byte * static_cast<double>(bytes);
      const double now = std::min(owed, kMaxNanosecondsAByte * static_cast<double>(bytes));
      owed -= now;
      return going = sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(now)));
    });
    if (!going || !sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(owed)))) return;
  }
  const auto damaged = all_damaged();
  if (damaged.size() <= damaged_before) return;
  for (const Digest& digest : damaged) {
    note_(fmt::format("scrub: blob {} is damaged; import its release, or push it, again",
                      digest.text()));
  }
}

void Scrubber::run() {
  // A pass over an empty store takes no time: look again later.
  constexpr std::chrono::milliseconds kBetweenPasses{1000};
  do {
    try {
      pass();
    } catch (const std::exception& error) {
      note_(fmt::format("scrub: {}", error.what()));
    }
  } while (sleep_for(kBetweenPasses));
}

}  // namespace bundle::registry
