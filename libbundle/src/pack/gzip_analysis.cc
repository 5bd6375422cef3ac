#include "pack/gzip_analysis.h"

#include <algorithm>

#include "codec/encoder_match.h"
#include "codec/gzip_parser.h"
#include "codec/gzip_reader.h"
#include "codec/token_coder.h"

namespace bundle::pack {
namespace {

constexpr std::size_t kAnalysisBuffer = 256 << 10;

bool is_over_budget(const codec::EncoderSpec& spec, unsigned budget) {
  return budget != 0 && codec::replay_cost(spec) > budget;
}

class Analyser final : public codec::GzipVisitor {
 public:
  Analyser(Sink* watcher, unsigned import_budget) : watcher_(watcher), budget_(import_budget) {}

  void on_header(ByteView header) override {
    match_.emplace(candidates(codec::gzip_extra_flags(header)));
    deflate_bytes_ = 0;
  }
  void on_deflate(ByteView compressed) override {
    deflate_bytes_ += compressed.size();
    match_->deflate(compressed);
  }
  void on_plain(ByteView plain) override {
    if (watcher_ != nullptr) watcher_->write(plain);
    if (!match_->hopeless()) match_->plain(plain);
  }
  void on_trailer(ByteView) override {
    auto spec = match_->hopeless() ? std::nullopt : match_->finish();
    Bytes verbatim = match_->take_verbatim();
    if (!spec) ++failures_;
    if (spec && std::ranges::find(found_, *spec) == found_.end()) found_.push_back(*spec);
    if (spec && is_over_budget(*spec, budget_)) spec.reset();
    if (spec) result_.replayed_bytes += deflate_bytes_;
    if (auto parts = match_->take_parts(); spec && !parts.empty())
      result_.parts.emplace(result_.members.size(), std::move(parts));
    if (spec && !verbatim.empty())
      result_.corrections.emplace(result_.members.size(), std::move(verbatim));
    result_.members.push_back(std::move(spec));
    match_.reset();
  }
  void on_rest(ByteView) override {}

  GzipAnalysis take() {
    result_.is_gzip = true;
    return std::move(result_);
  }

 private:
  // Files with many members (eStargz has one per file) had them all from one encoder: what made an
  // earlier member is tried first. Members of unknown encoders are not searched for without end.
  codec::CandidateTiers candidates(std::uint8_t xfl) const {
    constexpr std::size_t kMaxFailures = 8;
    codec::CandidateTiers tiers = {found_};
    if (failures_ >= kMaxFailures) return tiers;
    for (auto& tier : codec::encoder_candidates(xfl)) {
      tiers.push_back(std::move(tier));
      if (failures_ > 0) break;
    }
    return tiers;
  }

  Sink* watcher_;
  unsigned budget_;
  GzipAnalysis result_;
  std::vector<codec::EncoderSpec> found_;
  std::size_t failures_ = 0;
  std::optional<codec::EncoderMatch> match_;
  std::uint64_t deflate_bytes_ = 0;
};

// Members without an encoder, or of which much is kept verbatim.
bool is_costly(const GzipAnalysis& result, std::size_t member) {
  constexpr std::size_t kMuch = 1 << 10;
  if (!result.members[member].has_value()) return true;
  const auto kept = result.corrections.find(member);
  return kept != result.corrections.end() && kept->second.size() > kMuch;
}

// Tries the generic coder on those.
class TokenAnalyser final : public codec::GzipVisitor {
 public:
  TokenAnalyser(GzipAnalysis& result, unsigned import_budget)
      : result_(result), budget_(import_budget) {}

  void on_header(ByteView) override {
    // A source that changes between two readings may have more members now.
    wanted_ = member_ < result_.members.size() && is_costly(result_, member_) &&
              held_total_ < kMaxBlobCorrections;
    deflate_bytes_ = 0;
    start_.clear();
    coder_.reset();
  }
  void on_deflate(ByteView compressed) override {
    if (!wanted_) return;
    deflate_bytes_ += compressed.size();
    if (coder_) {
      wanted_ = coder_->feed(compressed);
      return;
    }
    start_.insert(start_.end(), compressed.begin(), compressed.end());
    if (start_.size() >= kModelProbe) begin();
  }
  void on_plain(ByteView) override {}
  void on_trailer(ByteView) override {
    if (wanted_ && !coder_) begin();
    if (wanted_ && coder_->finish() && is_worth_it()) take();
    coder_.reset();
    ++member_;
  }
  void on_rest(ByteView) override {}

 private:
  static constexpr std::size_t kModelProbe = 256 << 10;
  // Plain bytes pack to about 0.75 of the gzip at release level. With more corrections than this
  // share the stream is as small as it is, and costs no time.
  static constexpr std::uint64_t kWorthShare = 5;

  void begin() {
    model_ = codec::choose_token_model(start_);
    if (model_ && is_over_budget(codec::token_spec(*model_), budget_)) model_.reset();
    if (model_) coder_ = std::make_unique<codec::TokenCoder>(*model_);
    wanted_ = coder_ != nullptr && coder_->feed(start_);
    start_ = {};
  }
  bool is_worth_it() const {
    const std::size_t size = coder_->correction_bytes();
    const auto known = result_.corrections.find(member_);  // what another way costs
    if (known != result_.corrections.end() && known->second.size() <= size + 4) return false;
    return size <= deflate_bytes_ / kWorthShare + 64 && size <= kMaxBlobCorrections - held_total_;
  }
  void take() {
    Bytes corrections = coder_->take_corrections();
    held_total_ += corrections.size();
    Bytes framed(4);
    store_le(framed.data(), static_cast<std::uint32_t>(corrections.size()));
    framed.insert(framed.end(), corrections.begin(), corrections.end());
    if (!result_.members[member_]) result_.replayed_bytes += deflate_bytes_;
    result_.members[member_] = codec::token_spec(*model_);
    result_.corrections[member_] = std::move(framed);
    result_.parts.erase(member_);
  }

  GzipAnalysis& result_;
  unsigned budget_;
  std::size_t member_ = 0;
  bool wanted_ = false;
  std::uint64_t deflate_bytes_ = 0;
  std::size_t held_total_ = 0;
  Bytes start_;
  std::optional<codec::TokenModel> model_;
  std::unique_ptr<codec::TokenCoder> coder_;
};

void code_unknown_members(const spec::BlobInput& blob, GzipAnalysis& result, const Cancel& cancel,
                          unsigned import_budget) {
  bool any = false;
  for (std::size_t i = 0; i < result.members.size(); ++i) any = any || is_costly(result, i);
  if (!any) return;
  TokenAnalyser analyser(result, import_budget);
  codec::GzipParser parser(analyser);
  Bytes buffer(kAnalysisBuffer);
  const auto source = blob.open();
  while (const std::size_t count = source->read(buffer)) {
    cancel.check();
    parser.write(ByteView(buffer).first(count));
    if (!parser.ok()) break;
  }
}

}  // namespace

GzipAnalysis analyse_gzip(const spec::BlobInput& blob, const Cancel& cancel, Sink* plain,
                          unsigned import_budget) {
  Bytes buffer(kAnalysisBuffer);
  const auto source = blob.open();
  std::size_t count = read_full(*source, buffer);
  if (!codec::is_gzip(ByteView(buffer).first(count))) return {};
  Analyser analyser(plain, import_budget);
  codec::GzipParser parser(analyser);
  while (count > 0 && parser.ok()) {
    cancel.check();
    parser.write(ByteView(buffer).first(count));
    count = source->read(buffer);
  }
  GzipAnalysis result;
  result.is_gzip = true;  // by its magic: it will not compress either way
  if (!parser.ok() || !parser.finish()) return result;
  result = analyser.take();
  code_unknown_members(blob, result, cancel, import_budget);
  return result;
}

void PlainTap::write(ByteView part) {
  if (part.empty()) return;
  if (!is_gzip_) is_gzip_ = codec::is_gzip(part);
  if (!*is_gzip_) return plain_.write(part);
  if (parser_.ok()) parser_.write(part);
}

}  // namespace bundle::pack
