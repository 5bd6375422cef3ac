// Groups written by the pack writer and read by several threads at once.
#include "unpack/group_reader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

#include "pack/pack_writer.h"
#include "support/temp_directory.h"

namespace bundle::pack {
namespace {

constexpr std::uint32_t kGroup = 32 << 20;
constexpr std::uint32_t kGroups = 6;

Bytes block(std::uint32_t number) {
  return Bytes(1 << 20, static_cast<std::uint8_t>(number));
}

TEST(GroupReader, LargeGroupsStayWithinTheirBudget) {
  const testing::TempDirectory folder;
  PackProfile profile = PackProfile::fast(2);
  profile.group_size = kGroup;
  PackWriter packs(posix_file_system(), folder.path(), profile);
  for (std::uint32_t i = 0; i < kGroups * (kGroup >> 20); ++i)
    packs.append(Stream::content, block(i / (kGroup >> 20)));
  format::Index index;
  packs.finish(index);
  const auto leaves = packs.leaves();
  unpack::GroupReader groups(index, *leaves, unpack::GroupReader::kDefaultBudget, nullptr,
                             2 * std::uint64_t{kGroup});
  ASSERT_EQ(index.groups.size(), kGroups);
  ASSERT_TRUE(unpack::GroupReader::is_large(index.groups[0]));

  // Everybody wants another group at the same time; two at most are lent.
  std::mutex mutex;
  std::multiset<std::uint32_t> lent;
  std::size_t most = 0;
  std::atomic<int> wrong{0};
  const auto count_lent = [&] {
    most = std::max<std::size_t>(most, std::set(lent.begin(), lent.end()).size());
  };
  std::vector<std::jthread> threads;
  for (std::uint32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint32_t round = 0; round < 12; ++round) {
        const std::uint32_t number = (thread * 2 + round) % kGroups;
        auto plain = groups.get(number);
        {
          const std::lock_guard lock(mutex);
          lent.insert(number);
          count_lent();
        }
        if (plain->size() != kGroup || plain->back() != number) ++wrong;
        groups.read_ahead((number + 1) % kGroups);
        {
          const std::lock_guard lock(mutex);
          lent.erase(lent.find(number));
        }
        plain.reset();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(most, 2u);
}

// What the release profile makes of a program is read back as it was.
TEST(GroupReader, ProgramsAreFilteredAndComeBack) {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const Bytes program{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const testing::TempDirectory folder;
  PackWriter packs(posix_file_system(), folder.path(), PackProfile::fast(1));
  packs.append(Stream::content, program);
  format::Index index;
  packs.finish(index);
#if defined(__x86_64__)
  EXPECT_EQ(index.groups[0].filter, format::Filter::x86);
#endif
  const auto leaves = packs.leaves();
  unpack::GroupReader groups(index, *leaves);
  Bytes read;
  for (std::uint32_t i = 0; i < index.groups.size(); ++i) {
    const auto plain = groups.get(i);
    read.insert(read.end(), plain->begin(), plain->end());
  }
  EXPECT_EQ(read, program);
}

}  // namespace
}  // namespace bundle::pack
