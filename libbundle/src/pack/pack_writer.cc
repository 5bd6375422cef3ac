#include "pack/pack_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "bundle/error.h"
#include "codec/difference.h"
#include "codec/x86_filter.h"
#include "format/limits.h"
#include "format/recipe.h"

namespace bundle::pack {
namespace {

constexpr int kOpaqueLevel = 1;
constexpr int kFastLevel = 3;
constexpr std::uint32_t kFastGroup = 4 << 20;
constexpr std::uint32_t kReleaseGroup = 32 << 20;
constexpr std::uint32_t kReleaseSideGroup = 8 << 20;
constexpr std::uint64_t kFastReference = 8 << 20;
constexpr std::uint64_t kReleaseReference = 32 << 20;
constexpr int kMinWindowLog = 10;
// 256 MiB a job. A large group, and a group of a delta with its reference, are larger than what the
// tree holds then; long matches are found in all of it.
constexpr int kMaxChainLog = 26;
// A reference list stays far below its limit: a range takes some ten bytes of it.
constexpr std::size_t kMaxReferenceRanges = 100'000;

int window_log_for(std::uint64_t size) {
  return std::max(kMinWindowLog, static_cast<int>(std::bit_width(size - 1)));
}

class PrefixSink final : public Sink {
 public:
  explicit PrefixSink(std::size_t size) { bytes_.reserve(size); }
  void write(ByteView bytes) override { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

std::vector<Digest> hash_leaves(ByteView packed) {
  std::vector<Digest> hashes;
  for (std::size_t at = 0; at < packed.size(); at += format::kLeafSize) {
    hashes.push_back(format::hash_leaf(
        packed.subspan(at, std::min<std::size_t>(format::kLeafSize, packed.size() - at))));
  }
  return hashes;
}

}  // namespace

PackProfile PackProfile::release(int level, std::size_t jobs) {
  return {level, kReleaseGroup, kReleaseSideGroup, kReleaseReference, jobs};
}
PackProfile PackProfile::fast(std::size_t jobs) {
  return {kFastLevel, kFastGroup, kFastGroup, kFastReference, jobs};
}

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

PackWriter::PackWriter(FileSystem& fs, const Path& temp_directory, const PackProfile& profile,
                       ReadBase read_base)
    : profile_(profile),
      file_(fs.create_anonymous(temp_directory)),
      read_base_(std::move(read_base)),
      pool_(profile.jobs, profile.jobs) {}
PackWriter::~PackWriter() = default;

std::uint64_t PackWriter::append(Stream stream, ByteView bytes,
                                 const std::vector<format::Run>& references) {
  const auto number = static_cast<std::size_t>(stream);
  const std::uint64_t start = position_[number];
  position_[number] += bytes.size();
  Bytes& open = open_[number].plain;
  while (!bytes.empty()) {
    add_references(stream, references);
    const std::size_t part = std::min<std::size_t>(bytes.size(), group_size(stream) - open.size());
    open.insert(open.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
    bytes = bytes.subspan(part);
    if (open.size() == group_size(stream)) close_group(stream);
  }
  return start;
}

// A group ends early when its references would take too much of an importer's memory.
void PackWriter::add_references(Stream stream, const std::vector<format::Run>& references) {
  std::uint64_t more = 0;
  for (const format::Run& run : references) more += run.length;
  if (more == 0) return;
  ReferenceSet& known = open_[static_cast<std::size_t>(stream)].references;
  const bool too_much =
      known.bytes() + more > profile_.reference_size || known.ranges() >= kMaxReferenceRanges;
  if (too_much) {
    ReferenceSet with = known;
    for (const format::Run& run : references) with.add(run);
    if (with.bytes() > profile_.reference_size || known.ranges() >= kMaxReferenceRanges)
      close_group(stream);
  }
  for (const format::Run& run : references) known.add(run);
}

void PackWriter::close_group(Stream stream) {
  Open& open = open_[static_cast<std::size_t>(stream)];
  if (open.plain.empty()) return;
  if (under_way_.size() > profile_.jobs) store_oldest();
  auto closed = std::make_shared<Open>(std::move(open));
  open = Open();
  closed->group.stream = static_cast<std::uint8_t>(stream);
  closed->group.plain_size = static_cast<std::uint32_t>(closed->plain.size());
  write_reference(*closed);
  under_way_.push_back(pool_.submit([this, closed] { return compress(*closed); }));
}

// Where the importer finds the reference, and its bytes.
void PackWriter::write_reference(Open& open) {
  if (open.references.empty()) return;
  PrefixSink prefix(static_cast<std::size_t>(open.references.bytes()));
  format::RecipeWriter list;
  list.begin_plain();
  for (const format::Run& run : open.references.runs()) {
    list.add_run(run);
    read_base_(run, prefix);
  }
  list.end_segment();
  const Bytes bytes = list.take();
  open.group.reference_size = static_cast<std::uint32_t>(bytes.size());
  open.group.reference_offset = append(Stream::recipes, bytes);
  open.prefix = prefix.take();
}

PackWriter::Packed PackWriter::compress(Open& open) {
  const bool opaque = open.group.stream == static_cast<std::uint8_t>(Stream::opaque);
  const Effort effort = opaque                ? Effort::opaque
                        : open.prefix.empty() ? Effort::release
                                              : Effort::referenced;
  // Not with a reference: how far apart two places are changes less from release to release than
  // where they are.
  if (effort == Effort::release &&
      open.group.stream == static_cast<std::uint8_t>(Stream::content) &&
      codec::x86_filter_encode(open.plain) > 0) {
    open.group.filter = format::Filter::x86;
  }
  auto compressor = take_compressor(effort);
  Packed packed;
  packed.group = open.group;
  packed.bytes = compressor->compress(open.plain, open.prefix);
  if (effort == Effort::referenced) try_difference(open, *compressor, packed);
  give_compressor(effort, std::move(compressor));
  const std::uint64_t table =
      packed.group.filter == format::Filter::difference ? format::kMaxDifferenceTable : 0;
  packed.group.window_log =
      static_cast<std::uint8_t>(window_log_for(open.plain.size() + open.prefix.size() + table));
  packed.group.packed_size = static_cast<std::uint32_t>(packed.bytes.size());
  packed.leaf_hashes = hash_leaves(packed.bytes);
  return packed;
}

// Programs are half as large as their difference from the older ones; other content is not. The
// smaller one counts.
void PackWriter::try_difference(const Open& open, codec::ZstdCompressor& compressor,
                                Packed& packed) {
  const Bytes difference = codec::make_difference(open.prefix, open.plain);
  if (difference.size() > open.plain.size() + format::kMaxDifferenceTable ||
      open.prefix.size() + 2 * open.plain.size() > format::kMaxReferencedGroupBytes) {
    return;
  }
  Bytes bytes = compressor.compress(difference, open.prefix);
  if (bytes.size() >= packed.bytes.size()) return;
  packed.group.filter = format::Filter::difference;
  packed.bytes = std::move(bytes);
}

std::unique_ptr<codec::ZstdCompressor> PackWriter::take_compressor(Effort effort) {
  {
    const std::lock_guard lock(compressors_mutex_);
    auto& idle = compressors_[static_cast<std::size_t>(effort)];
    if (!idle.empty()) {
      auto compressor = std::move(idle.back());
      idle.pop_back();
      return compressor;
    }
    // Idle ones hold their tables: there is memory for one large compressor a job.
    if (effort != Effort::opaque) {
      const Effort other = effort == Effort::release ? Effort::referenced : Effort::release;
      compressors_[static_cast<std::size_t>(other)].clear();
    }
  }
  codec::ZstdParams params;
  params.level = effort == Effort::opaque ? kOpaqueLevel : profile_.level;
  params.window_log = window_log_for(profile_.group_size);
  params.chain_log = std::min(params.window_log + 1, kMaxChainLog);
  params.long_matching = params.chain_log <= params.window_log;
  if (effort == Effort::referenced) {
    params.window_log = window_log_for(profile_.group_size + profile_.reference_size);
    params.long_matching = true;
    params.chain_log = kMaxChainLog;
  }
  return std::make_unique<codec::ZstdCompressor>(params);
}

void PackWriter::give_compressor(Effort effort, std::unique_ptr<codec::ZstdCompressor> compressor) {
  const std::lock_guard lock(compressors_mutex_);
  compressors_[static_cast<std::size_t>(effort)].push_back(std::move(compressor));
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
  // Recipes last: closing another stream's group may add its reference list to them.
  for (std::size_t stream = open_.size(); stream-- > 0;) close_group(static_cast<Stream>(stream));
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
