#include "pack/pack_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "bundle/error.h"

namespace bundle::pack {
namespace {

constexpr int kOpaqueLevel = 1;
constexpr int kFastLevel = 3;
constexpr std::uint32_t kFastGroup = 4 << 20;
constexpr std::uint32_t kReleaseGroup = 16 << 20;
constexpr int kMinWindowLog = 10;

int window_log_for(std::uint64_t size) {
  return std::max(kMinWindowLog, static_cast<int>(std::bit_width(size - 1)));
}

std::vector<Digest> hash_leaves(ByteView packed) {
  std::vector<Digest> hashes;
  for (std::size_t at = 0; at < packed.size(); at += format::kLeafSize) {
    hashes.push_back(format::hash_leaf(
        packed.subspan(at, std::min<std::size_t>(format::kLeafSize, packed.size() - at))));
  }
  return hashes;
}

}  // namespace

PackProfile PackProfile::release(int level, std::size_t jobs) { return {level, kReleaseGroup, jobs}; }
PackProfile PackProfile::fast(std::size_t jobs) { return {kFastLevel, kFastGroup, jobs}; }

// Leaves in the temporary file, by the finished index.
class PackWriter::TempLeaves final : public unpack::LeafSource {
 public:
  explicit TempLeaves(const PackWriter& writer) : writer_(writer) {}
  bool has(std::uint32_t leaf) const override { return leaf < writer_.file_offsets_.size(); }
  std::size_t copies(std::uint32_t leaf) const override { return has(leaf) ? 1 : 0; }
  void read(std::uint32_t leaf, std::size_t, std::span<std::uint8_t> buffer) const override {
    if (writer_.file_->read_at(writer_.file_offsets_[leaf], buffer) != buffer.size()) {
      throw Error(ErrorCode::io_error, "the temporary pack file ends early");
    }
  }
  std::string where(std::uint32_t leaf, std::size_t) const override {
    return fmt::format("the temporary pack file at offset {}", writer_.file_offsets_[leaf]);
  }

 private:
  const PackWriter& writer_;
};

PackWriter::PackWriter(FileSystem& fs, const Path& temp_directory, const PackProfile& profile)
    : profile_(profile), file_(fs.create_anonymous(temp_directory)), pool_(profile.jobs, profile.jobs) {}
PackWriter::~PackWriter() = default;

std::uint64_t PackWriter::append(Stream stream, ByteView bytes) {
  const auto number = static_cast<std::size_t>(stream);
  const std::uint64_t start = position_[number];
  position_[number] += bytes.size();
  Bytes& open = open_[number];
  while (!bytes.empty()) {
    const std::size_t part = std::min<std::size_t>(bytes.size(), profile_.group_size - open.size());
    open.insert(open.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
    bytes = bytes.subspan(part);
    if (open.size() == profile_.group_size) close_group(stream);
  }
  return start;
}

void PackWriter::close_group(Stream stream) {
  Bytes& open = open_[static_cast<std::size_t>(stream)];
  if (open.empty()) return;
  if (under_way_.size() > profile_.jobs) store_oldest();
  auto plain = std::make_shared<Bytes>(std::move(open));
  open = Bytes();
  under_way_.push_back(pool_.submit([this, stream, plain] { return compress(stream, *plain); }));
}

PackWriter::Packed PackWriter::compress(Stream stream, const Bytes& plain) {
  const bool opaque = stream == Stream::opaque;
  auto compressor = take_compressor(opaque);
  Packed packed;
  packed.bytes = compressor->compress(plain);
  give_compressor(opaque, std::move(compressor));
  packed.group.stream = static_cast<std::uint8_t>(stream);
  packed.group.window_log = static_cast<std::uint8_t>(window_log_for(plain.size()));
  packed.group.plain_size = static_cast<std::uint32_t>(plain.size());
  packed.group.packed_size = static_cast<std::uint32_t>(packed.bytes.size());
  packed.leaf_hashes = hash_leaves(packed.bytes);
  return packed;
}

std::unique_ptr<codec::ZstdCompressor> PackWriter::take_compressor(bool opaque) {
  {
    const std::lock_guard lock(compressors_mutex_);
    auto& idle = compressors_[opaque ? 1 : 0];
    if (!idle.empty()) {
      auto compressor = std::move(idle.back());
      idle.pop_back();
      return compressor;
    }
  }
  codec::ZstdParams params;
  params.level = opaque ? kOpaqueLevel : profile_.level;
  params.window_log = window_log_for(profile_.group_size);
  return std::make_unique<codec::ZstdCompressor>(params);
}

void PackWriter::give_compressor(bool opaque, std::unique_ptr<codec::ZstdCompressor> compressor) {
  const std::lock_guard lock(compressors_mutex_);
  compressors_[opaque ? 1 : 0].push_back(std::move(compressor));
}

void PackWriter::store_oldest() {
  Packed packed = under_way_.front().get();
  under_way_.pop_front();
  packed.group.packed_offset = file_->size();
  file_->write(packed.bytes);
  packed.bytes = Bytes();
  done_.push_back(std::move(packed));
}

void PackWriter::finish(format::Index& index) {
  for (std::size_t stream = 0; stream < open_.size(); ++stream) {
    close_group(static_cast<Stream>(stream));
  }
  while (!under_way_.empty()) store_oldest();
  std::ranges::stable_partition(
      done_, [](const Packed& packed) { return packed.group.stream == format::kRecipeStream; });
  for (const Packed& packed : done_) {
    index.groups.push_back(packed.group);
    for (std::size_t i = 0; i < packed.leaf_hashes.size(); ++i) {
      index.leaf_hashes.push_back(packed.leaf_hashes[i]);
      file_offsets_.push_back(packed.group.packed_offset + i * format::kLeafSize);
    }
  }
  index.derive();
}

std::unique_ptr<unpack::LeafSource> PackWriter::leaves() const {
  return std::make_unique<TempLeaves>(*this);
}

void PackWriter::discard(std::uint32_t leaf, std::uint32_t size) {
  file_->discard(file_offsets_[leaf], size);
}

}  // namespace bundle::pack
