#include "pack/grain_packer.h"

#include <algorithm>

namespace bundle::pack {
namespace {

// The end of a grain, its padding and the marker of the next: alike from grain to grain, as tar
// headers are.
constexpr std::size_t kMaxBetween = 4096;
// Grains that no encoder gives back, until it is believed that none will.
constexpr std::size_t kMaxFailures = 8;

// Whether what is written is what was expected.
class Comparer final : public Sink {
 public:
  explicit Comparer(ByteView expected) : rest_(expected) {}
  void write(ByteView bytes) override {
    same_ = same_ && bytes.size() <= rest_.size() &&
            std::ranges::equal(bytes, rest_.first(bytes.size()));
    if (same_) rest_ = rest_.subspan(bytes.size());
  }
  bool is_equal() const { return same_ && rest_.empty(); }

 private:
  ByteView rest_;
  bool same_ = true;
};

bool gives_back(const codec::EncoderSpec& spec, ByteView deflate, ByteView plain) {
  Comparer comparer(deflate);
  const auto encoder = codec::make_encoder(spec, comparer);
  encoder->write(plain);
  encoder->finish();
  return comparer.is_equal();
}

const std::vector<codec::EncoderSpec>& candidates() {
  static const std::vector<codec::EncoderSpec> all = [] {
    std::vector<codec::EncoderSpec> specs;
    for (const int level : {6, 1, 9, 5, 4, 3, 2, 7, 8})
      specs.push_back(codec::zlib_spec(level, 8, 0));
    return specs;
  }();
  return all;
}

}  // namespace

GrainPacker::GrainPacker(BlobPacker& packer, format::RecipeWriter& recipe, DeltaBase* base,
                         unsigned import_budget)
    : packer_(packer), recipe_(recipe), base_(base) {
  const bool affordable =
      import_budget == 0 || codec::replay_cost(candidates().front()) <= import_budget;
  // A base that has its disks as they are shares chunks of compressed bytes with them only.
  enabled_ = affordable && (base == nullptr || base->has_grains());
}

void GrainPacker::on_other(ByteView bytes) {
  if (!content_ && grains_ > 0 && between_.size() + bytes.size() <= kMaxBetween) {
    between_.insert(between_.end(), bytes.begin(), bytes.end());
    return;
  }
  write_content(std::exchange(between_, {}));
  write_content(bytes);
}

void GrainPacker::write_content(ByteView bytes) {
  if (bytes.empty()) return;
  if (!content_) {
    recipe_.begin_plain();
    content_.emplace(packer_, recipe_);
  }
  content_->write(bytes);
}

void GrainPacker::end_other() {
  if (content_) {
    content_->finish();
    content_.reset();
    recipe_.end_segment();
  }
  if (between_.empty()) return;
  recipe_.begin_plain();
  recipe_.add_run(packer_.store_header(between_, {}));
  recipe_.end_segment();
  between_.clear();
}

void GrainPacker::on_grain(ByteView deflate, ByteView plain) {
  const auto spec = enabled_ ? encoder_of(deflate, plain) : std::nullopt;
  if (!spec) return on_other(deflate);
  end_other();
  ++grains_;
  replayed_bytes_ += deflate.size();
  const auto known = base_ == nullptr ? std::nullopt : base_->copy_grain(*spec, plain);
  if (known) {
    recipe_.begin_plain();
    recipe_.add_run(*known);
  } else {
    const codec::StreamPart whole{plain.size(), deflate.size() * 8, false, {}};
    recipe_.begin_deflate(*spec, {&whole, 1});
    recipe_.add_run(packer_.store_object(plain, {}));
  }
  recipe_.end_segment();
}

std::optional<codec::EncoderSpec> GrainPacker::encoder_of(ByteView deflate, ByteView plain) {
  if (grains_ >= kMaxGrains || plain.empty()) return std::nullopt;
  for (const codec::EncoderSpec& spec : found_) {
    if (gives_back(spec, deflate, plain)) return spec;
  }
  if (failures_ >= kMaxFailures) return std::nullopt;
  for (const codec::EncoderSpec& spec : candidates()) {
    if (std::ranges::find(found_, spec) != found_.end() || !gives_back(spec, deflate, plain))
      continue;
    found_.push_back(spec);
    return spec;
  }
  ++failures_;
  return std::nullopt;
}

void GrainPacker::finish() {
  end_other();
}

}  // namespace bundle::pack
