// Brings leaves from a far origin to the site while blobs are rebuilt from those that have come.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bundle/progress.h"
#include "store/store_writer.h"
#include "transfer/bundle_import.h"
#include "unpack/volume_set.h"

namespace bundle::transfer {

// What one request asks for: a share of the whole for each connection, many times, so that all of
// them are busy to the end; between these two.
inline constexpr std::uint64_t kMinFetchBytes = 4 << 20;
inline constexpr std::uint64_t kMaxFetchBytes = 32 << 20;
inline constexpr std::uint64_t kFetchesPerConnection = 8;

// The leaves of a bundle whose volumes are far away. start() fetches what is needed into the
// store's staging folder, neighbours by one request, on several connections, in the order of the
// pack stream; a leaf is checked before it is kept. read() of such a leaf waits until it is there.
// What was staged stays when the process ends, so that no byte is fetched twice. Thread-safe.
// Memory: one leaf and one receive buffer a connection.
class FetchedLeaves final : public unpack::LeafSource {
 public:
  // None owned. The volumes' files are RemoteFiles.
  FetchedLeaves(const format::Index& index, const unpack::VolumeLeaves& remote,
                StagedLeaves& staged);
  ~FetchedLeaves() override;
  FetchedLeaves(const FetchedLeaves&) = delete;
  FetchedLeaves& operator=(const FetchedLeaves&) = delete;

  bool has(std::uint32_t leaf) const override { return copies(leaf) > 0; }
  // A kept one first: it costs nothing.
  std::size_t copies(std::uint32_t leaf) const override;
  // Throws what the fetching failed with.
  void read(std::uint32_t leaf, std::size_t copy, std::span<std::uint8_t> buffer) const override;
  std::string where(std::uint32_t leaf, std::size_t copy) const override;

  struct Job {
    std::vector<std::uint32_t> leaves;  // ascending
    format::BundleId bundle{};
    std::size_t connections = 4;
  };
  // Once. `writer` and `cancel` outlive this object.
  void start(Job job, store::StoreWriter& writer, const Cancel& cancel);
  // Ends the connections after the leaf under way; who waits in read() gets Error{cancelled}.
  void stop();

 private:
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };
  enum class State : std::uint8_t { remote, wanted, kept };

  std::vector<Range> cut_ranges(const std::vector<std::uint32_t>& leaves,
                                std::size_t connections) const;
  void work();
  void fetch(const Range& range);
  Bytes read_good_leaf(Source& source, std::uint32_t leaf) const;
  void keep(std::uint32_t leaf, ByteView bytes);
  void fail();

  const format::Index& index_;
  const unpack::VolumeLeaves& remote_;
  StagedLeaves& staged_;
  format::BundleId bundle_{};
  store::StoreWriter* writer_ = nullptr;
  const Cancel* cancel_ = nullptr;
  std::vector<Range> ranges_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<State> states_;
  std::size_t next_range_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace bundle::transfer
