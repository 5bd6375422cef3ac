// The generic way to give back a deflate stream: its tokens are predicted, and only what was
// predicted wrongly is kept. For streams of encoders that no family of codec/deflate_encoder.h
// replays. The form of the corrections is docs/bundle-format.md section 5.3.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "codec/deflate/block_reader.h"
#include "codec/deflate/token_predictor.h"
#include "codec/deflate_encoder.h"

namespace bundle::codec {

inline constexpr std::size_t kMaxCorrections = std::size_t{32} << 20;

EncoderSpec token_spec(const TokenModel& model);
// Throws Error{recipe_invalid} for parameters out of range.
TokenModel parse_token_model(const Bytes& params);

// Takes a stream apart, notes the corrections, and proves them: every piece is made again from them
// and compared. Not thread-safe. Memory: about 20 MiB and the corrections.
class TokenCoder {
 public:
  explicit TokenCoder(const TokenModel& model);
  ~TokenCoder();

  // False from the first byte on that cannot be given back (or past a limit): of no use then.
  bool feed(ByteView compressed);
  // True when the stream was complete, everything was proven, and there are fewer than
  // kMaxCorrections bytes of them.
  bool finish();
  std::size_t correction_bytes() const { return corrections_.size(); }
  Bytes take_corrections() { return std::move(corrections_); }

 private:
  friend std::optional<TokenModel> choose_token_model(ByteView start);
  class Prover;
  bool take_blocks();
  bool end_piece();

  TokenPredictor predictor_;
  BlockReader reader_;
  std::unique_ptr<Prover> prover_;
  std::vector<DeflateBlock> blocks_;  // of the piece under way
  std::size_t piece_bytes_ = 0;
  std::size_t last_count_ = 0;
  bool ended_ = false;
  bool failed_ = false;
  Bytes corrections_;
};

// The model that predicts the start of a stream best; nothing if the start is no deflate stream.
std::optional<TokenModel> choose_token_model(ByteView start);

// Family 6: what is written to it is the size of the corrections (4 bytes), the corrections, and
// the plain bytes. Throws Error{recipe_invalid} when they do not fit each other.
std::unique_ptr<DeflateEncoder> make_token_encoder(const TokenModel& model, Sink& out);

}  // namespace bundle::codec
