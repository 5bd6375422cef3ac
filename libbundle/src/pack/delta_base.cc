#include "pack/delta_base.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"
#include "format/limits.h"
#include "pack/object_splitter.h"
#include "unpack/volume_set.h"

namespace bundle::pack {
namespace {

using format::BlobEntry;
using format::Run;

// Places that are remembered of equal objects and of files with one path.
constexpr std::size_t kMaxPlaces = 8;
// Reading at the site goes forward. A place that is not shortly ahead of the last one costs the
// inflating of up to a few MiB: worth it for a large object, a small one is stored with a
// reference.
constexpr std::uint64_t kNearAhead = 4 << 20;
constexpr std::uint64_t kFarSize = 32 << 10;
// How much of an older file around the same place is taken as reference of a block.
constexpr std::uint64_t kFileMargin = 512 << 10;
constexpr std::uint64_t kMaxFileMargin = 4 << 20;
constexpr std::uint64_t kAlikeMargin = 64 << 10;

// Versions in names change with the release: "libfoo.so.1.2" is "libfoo.so.1.3" before.
std::string blank_digits(const std::string& path) {
  std::string blank;
  for (const char c : path) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && !blank.empty() && blank.back() == '#') continue;
    blank += digit ? '#' : c;
  }
  return blank;
}

std::uint64_t distance(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

// Fills the tables from one base blob.
class DeltaBase::Scanner final : public ObjectVisitor {
 public:
  Scanner(DeltaBase& base, std::uint32_t blob) : base_(base), blob_(blob) {}

  void on_header(ByteView bytes, const std::string& path) override {
    const Place place = next(bytes);
    base_.note_object(sha256(bytes), place);
    if (!path.empty()) note(base_.headers_, path, place);
  }
  void on_file(const std::string& path, std::uint64_t size) override {
    if (!path.empty() && size > 0) note(base_.files_, path, {blob_, offset_, size});
  }
  void on_block(ByteView bytes) override {
    const Place place = next(bytes);
    base_.note_object(sha256(bytes), place);
    const auto features = sketch(bytes);
    if (!features) return;
    for (const std::uint64_t feature : *features) base_.sketches_.try_emplace(feature, place);
  }

 private:
  Place next(ByteView bytes) {
    const Place place{blob_, offset_, bytes.size()};
    offset_ += bytes.size();
    return place;
  }
  static void note(std::unordered_map<std::string, std::vector<Place>>& table,
                   const std::string& path, const Place& place) {
    const auto add = [&](const std::string& key) {
      auto& places = table[key];
      if (places.size() < kMaxPlaces) places.push_back(place);
    };
    add(path);
    if (const std::string blank = blank_digits(path); blank != path) add(blank);
  }

  DeltaBase& base_;
  std::uint32_t blob_;
  std::uint64_t offset_ = 0;
};

void DeltaBase::intersect(const std::vector<BlobEntry>& blobs) {
  if (bases_.empty()) {
    common_ = blobs;
    return;
  }
  std::erase_if(common_, [&](const BlobEntry& blob) {
    const auto found = std::ranges::lower_bound(blobs, blob.digest, {}, &BlobEntry::digest);
    return found == blobs.end() || *found != blob;
  });
}

void DeltaBase::add(FileSystem& fs, const Path& base) {
  std::string list;
  std::string name;
  if (unpack::looks_like_bundle(fs, base)) {
    bundles_.emplace_back(fs, base);
    name = bundles_.back().name();
    list = bundles_.back().blob_list();
  } else {
    const auto status = fs.status(base);
    if (status && status->kind == FileKind::directory) {
      throw Error(ErrorCode::not_a_bundle, fmt::format("{} holds no bundle volume", base.string()),
                  "A base is the folder of a full bundle, or an inventory file that 'have' wrote.");
    }
    list = read_text_file(fs, base, format::kMaxBlobListBytes);
    name = base.stem().string();
  }
  intersect(format::decode_blob_list(list, base.string()));
  bases_.push_back({name, sha256(as_bytes(list))});
}

void DeltaBase::scan(Progress& progress, const Cancel& cancel) {
  std::uint64_t total = 0;
  for (const BaseBundle& bundle : bundles_) {
    for (const BaseBundle::Blob& blob : bundle.readable()) {
      const auto entry = std::ranges::lower_bound(common_, blob.digest, {}, &BlobEntry::digest);
      const auto known = [&](const Blob& other) { return other.content.digest == blob.digest; };
      if (entry == common_.end() || entry->digest != blob.digest ||
          std::ranges::any_of(blobs_, known))
        continue;
      blobs_.push_back({&bundle, blob, entry->size, std::nullopt});
      total += blob.size;
    }
  }
  progress.phase("reading the base", total);
  std::uint64_t done = 0;
  for (std::uint32_t i = 0; i < blobs_.size(); ++i) {
    cancel.check();
    const Blob& blob = blobs_[i];
    Scanner scanner(*this, i);
    ContentSplitter splitter(scanner);
    blob.bundle->read(blob.content.digest, 0, blob.content.size, splitter);
    splitter.finish();
    progress.advance(done += blob.content.size);
  }
  for (const BaseBundle& bundle : bundles_) scan_grains(bundle, cancel);
}

namespace {

Digest grain_key(const codec::EncoderSpec& spec, ByteView plain) {
  Sha256 hash;
  hash.write(ByteView(spec.params));
  hash.write(plain);
  return hash.finish();
}

}  // namespace

// Only disks that all bases have.
void DeltaBase::scan_grains(const BaseBundle& bundle, const Cancel& cancel) {
  for (const BaseBundle::Grain& grain : bundle.grains()) {
    if (grain.spec.family != codec::kZlibFamily) continue;
    cancel.check();
    const auto entry = std::ranges::lower_bound(common_, grain.blob, {}, &BlobEntry::digest);
    if (entry == common_.end() || entry->digest != grain.blob) continue;
    if (blobs_.empty() || blobs_.back().content.digest != grain.blob) {
      const BaseBundle::Blob content{grain.blob, format::kBaseSource, entry->size};
      blobs_.push_back({&bundle, content, entry->size, std::nullopt});
    }
    const auto number = static_cast<std::uint32_t>(blobs_.size() - 1);
    grains_.try_emplace(grain_key(grain.spec, bundle.plain_of(grain)),
                        Place{number, grain.offset, grain.size});
  }
}

std::optional<Run> DeltaBase::copy_grain(const codec::EncoderSpec& spec, ByteView plain) {
  const auto found = grains_.find(grain_key(spec, plain));
  if (found == grains_.end()) return std::nullopt;
  last_.reset();  // only plain bytes are alike, and these are not
  return to_run(found->second);
}

bool DeltaBase::has_blob(const BlobEntry& blob) const {
  const auto found = std::ranges::lower_bound(common_, blob.digest, {}, &BlobEntry::digest);
  return found != common_.end() && *found == blob;
}

void DeltaBase::note_object(const Digest& digest, const Place& place) {
  auto& places = objects_[digest];
  if (places.size() < kMaxPlaces) places.push_back(place);
}

void DeltaBase::begin_blob() {
  read_to_.clear();
  last_.reset();
}

// The place that goes on from the run before, else the one that is the shortest way ahead.
const DeltaBase::Place* DeltaBase::best_place(const Digest& digest) const {
  const auto found = objects_.find(digest);
  if (found == objects_.end()) return nullptr;
  const Place* best = nullptr;
  std::uint64_t least = UINT64_MAX;
  for (const Place& place : found->second) {
    const auto read = read_to_.find(place.blob);
    const std::uint64_t at = read == read_to_.end() ? 0 : read->second;
    const bool goes_on =
        last_ && last_->blob == place.blob && last_->offset + last_->size == place.offset;
    const std::uint64_t way = goes_on              ? 0
                              : place.offset >= at ? 1 + place.offset - at
                                                   : UINT64_MAX - 1;
    if (way < least) {
      best = &place;
      least = way;
    }
  }
  return best;
}

Run DeltaBase::to_run(const Place& place) {
  Blob& blob = blobs_[place.blob];
  if (!blob.number) {
    blob.number = static_cast<std::uint32_t>(numbered_.size());
    numbered_.push_back(place.blob);
  }
  return {blob.content.source, *blob.number, place.offset, place.size};
}

Run DeltaBase::take(const Place& place) {
  last_ = place;
  read_to_[place.blob] = place.offset + place.size;
  return to_run(place);
}

std::optional<Run> DeltaBase::copy(ByteView object) {
  const Place* place = best_place(sha256(object));
  if (place == nullptr) return std::nullopt;
  const auto read = read_to_.find(place->blob);
  const std::uint64_t at = read == read_to_.end() ? 0 : read->second;
  const bool near = place->offset >= at && place->offset - at <= kNearAhead;
  const bool cheap = blobs_[place->blob].content.source == format::kBaseSource;
  if (!near && !cheap && place->size < kFarSize) return std::nullopt;
  return take(*place);
}

std::optional<Run> DeltaBase::copy_header(ByteView header) {
  const Place* place = best_place(sha256(header));
  if (place == nullptr) return std::nullopt;
  const bool goes_on =
      last_ && last_->blob == place->blob && last_->offset + last_->size == place->offset;
  const bool first = !last_ && place->offset == 0;
  if (!goes_on && !first) return std::nullopt;
  return take(*place);
}

// The older file of that path: in the layer that was used last, else of the most similar size.
const DeltaBase::Place* DeltaBase::find_file(const std::string& path, std::uint64_t size) const {
  auto found = files_.find(path);
  if (found == files_.end()) found = files_.find(blank_digits(path));
  if (found == files_.end()) return nullptr;
  return &*std::ranges::min_element(found->second, {}, [&](const Place& place) {
    return std::pair(!last_ || place.blob != last_->blob, distance(place.size, size));
  });
}

std::optional<DeltaBase::Place> DeltaBase::find_alike(ByteView object) const {
  const auto features = sketch(object);
  if (!features) return std::nullopt;
  for (const std::uint64_t feature : *features) {
    if (const auto found = sketches_.find(feature); found != sketches_.end()) return found->second;
  }
  return std::nullopt;
}

DeltaBase::Place DeltaBase::widen(const Place& place, std::uint64_t margin) const {
  const std::uint64_t start = place.offset - std::min(place.offset, margin);
  const std::uint64_t end =
      std::min(blobs_[place.blob].content.size, place.offset + place.size + margin);
  return {place.blob, start, end - start};
}

std::vector<Run> DeltaBase::similar(ByteView object, const FilePlace& file) {
  std::optional<Place> found;
  if (const Place* equal = best_place(sha256(object))) {
    found = *equal;
  } else if (const Place* older = file.path.empty() ? nullptr : find_file(file.path, file.size)) {
    // The same share of the way through the older file, and as far around as the sizes differ.
    const std::uint64_t margin =
        std::clamp(distance(older->size, file.size), kFileMargin, kMaxFileMargin);
    const std::uint64_t start = std::min(file.position, older->size);
    const std::uint64_t from = start - std::min(start, margin);
    const std::uint64_t to = std::min(older->size, start + object.size() + margin);
    found = Place{older->blob, older->offset + from, to - from};
  } else if (const auto alike = find_alike(object)) {
    found = widen(*alike, kAlikeMargin);
    if (file.path.empty()) last_ = *alike;
  } else if (file.path.empty() && last_) {
    // A disk image: what follows the last known place.
    const std::uint64_t end = last_->offset + last_->size;
    const std::uint64_t rest = blobs_[last_->blob].content.size - end;
    found = widen({last_->blob, end, std::min<std::uint64_t>(rest, object.size())}, kAlikeMargin);
    last_ = Place{last_->blob, end, std::min<std::uint64_t>(rest, object.size())};
  }
  if (!found || found->size == 0) return {};
  return {to_run(*found)};
}

std::vector<Run> DeltaBase::similar_header(const std::string& path) {
  auto found = headers_.find(path);
  if (found == headers_.end()) found = headers_.find(blank_digits(path));
  if (path.empty() || found == headers_.end()) return {};
  const auto best = std::ranges::find_if(
      found->second, [&](const Place& place) { return last_ && place.blob == last_->blob; });
  return {to_run(best == found->second.end() ? found->second.front() : *best)};
}

std::vector<BlobEntry> DeltaBase::base_list() const {
  std::vector<BlobEntry> list;
  for (const std::uint32_t blob : numbered_) {
    list.push_back({blobs_[blob].content.digest, blobs_[blob].file_size});
  }
  return list;
}

void DeltaBase::read(const Run& run, Sink& out) const {
  const Blob& blob = blobs_[numbered_[run.base_blob]];
  blob.bundle->read(blob.content.digest, run.offset, run.length, out);
}

}  // namespace bundle::pack
