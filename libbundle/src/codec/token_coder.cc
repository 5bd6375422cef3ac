#include "codec/token_coder.h"

#include <algorithm>
#include <array>

#include "bundle/error.h"
#include "codec/deflate/bit_writer.h"
#include "codec/deflate/huffman_code.h"
#include "codec/deflate/zlib_trees.h"

namespace bundle::codec {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;  // plain bytes at which a piece ends
constexpr std::size_t kMaxPieceBytes = kPieceBytes + BlockReader::kMaxPlain;
constexpr std::size_t kSizeField = 4;

// Flags of a block, above its final bit and two bits of type.
constexpr std::uint8_t kSameTrees = 1 << 3;  // as zlib would describe them
constexpr std::uint8_t kSameCount = 1 << 4;  // as many tokens as the block before

enum class Fix : std::uint8_t { literal = 0, other_length = 1, other_match = 2 };

[[noreturn]] void bad_corrections(std::string_view reason) {
  throw Error(ErrorCode::recipe_invalid,
              "the deflate corrections of a recipe are wrong: " + std::string(reason),
              "The bundle was made wrong: ask the vendor for a new one.");
}

void add_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

// Reads corrections; never past their end.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  std::uint8_t byte() { return take(1)[0]; }
  ByteView take(std::size_t count) {
    if (count > bytes_.size()) bad_corrections("they end too early");
    const ByteView part = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return part;
  }
  std::size_t varint(std::size_t limit) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const std::uint8_t next = byte();
      value |= std::uint64_t{next & 0x7fu} << shift;
      if (next < 0x80) {
        if (value > limit) bad_corrections("a number is too large");
        return static_cast<std::size_t>(value);
      }
    }
    bad_corrections("a number is too long");
  }

 private:
  ByteView bytes_;
};

bool same(Token left, Token right) {
  if (left.is_match() != right.is_match()) return false;
  if (!left.is_match()) return true;  // the byte is known
  return left.length_minus_3() == right.length_minus_3() &&
         left.distance_minus_1() == right.distance_minus_1();
}

SymbolCounts count_symbols(std::span<const Token> tokens) {
  SymbolCounts counts;
  for (const Token token : tokens) counts.count(token);
  counts.literals[kEndOfBlock] = 1;
  return counts;
}

// Makes the bits of a piece from its corrections and plain bytes.
class PieceDecoder {
 public:
  PieceDecoder(const TokenModel& model, ByteSink sink)
      : predictor_(model), bits_(std::move(sink)) {}

  // `more`: corrections of the piece behind its plain size.
  void decode(Reader& more, ByteView plain) {
    Reader blocks(more.take(more.varint(kMaxCorrections)));
    Reader tokens(more.take(more.varint(kMaxCorrections)));
    predictor_.start(plain);
    run_ = tokens.varint(kMaxPieceBytes);
    while (!blocks.at_end()) {
      if (ended_) bad_corrections("a block follows the last one");
      decode_block(blocks, tokens, plain.last(predictor_.left()));
    }
    if (predictor_.left() != 0 || !tokens.at_end()) bad_corrections("they do not fit the content");
    predictor_.stop();
  }
  bool ended() const { return ended_; }
  void align() { bits_.align(); }
  void drain() { bits_.drain(); }

 private:
  void decode_block(Reader& blocks, Reader& tokens, ByteView plain) {
    const std::uint8_t flags = blocks.byte();
    ended_ = (flags & 1) != 0;
    const unsigned type = flags >> 1 & 3;
    if (type > 2 || flags >= 1 << 5) bad_corrections("a block is of no known type");
    bits_.put(flags & 7, 3);
    if (type == 0) {
      const std::size_t size = blocks.varint(kMaxStoredBytes);
      if (size > plain.size()) bad_corrections("a block is longer than the content");
      write_stored(plain.first(size));
      return;
    }
    if ((flags & kSameCount) == 0) last_count_ = blocks.varint(BlockReader::kMaxTokens);
    read_tokens(tokens);
    if (type == 1) {
      body_.use(fixed_literal_code(), fixed_distance_code());
    } else {
      write_trees(flags, blocks);
    }
    body_.write(bits_, tokens_);
    body_.write_end_of_block(bits_);
  }

  void write_stored(ByteView plain) {
    bits_.align();
    bits_.put(plain.size() | (~plain.size() & 0xffff) << 16, 32);
    bits_.put_bytes(plain);
    predictor_.take_stored(static_cast<std::uint32_t>(plain.size()));
  }

  void read_tokens(Reader& in) {
    tokens_.clear();
    for (std::size_t i = 0; i < last_count_; ++i) {
      if (predictor_.left() == 0) bad_corrections("there are more tokens than content");
      Token token = predictor_.predict();
      if (run_ > 0) {
        --run_;
      } else {
        token = read_fix(in, token);
        run_ = in.varint(kMaxPieceBytes);
      }
      predictor_.take(token);
      tokens_.push_back(token);
    }
  }
  Token read_fix(Reader& in, Token predicted) {
    switch (static_cast<Fix>(in.byte())) {
      case Fix::literal:
        return Token::literal(predictor_.byte());
      case Fix::other_length:
        if (!predicted.is_match()) bad_corrections("a length without a match");
        return match(in.byte(), predicted.distance_minus_1());
      case Fix::other_match: {
        const std::uint32_t length = in.byte();
        const auto distance = load_le<std::uint16_t>(in.take(2).data());
        return match(length, distance);
      }
    }
    bad_corrections("a correction is of no known kind");
  }
  Token match(std::uint32_t length_minus_3, std::uint32_t distance_minus_1) {
    if (length_minus_3 + kMinMatch > predictor_.left() || distance_minus_1 >= kMaxDistance) {
      bad_corrections("a match leads out of the content");
    }
    return Token::match(length_minus_3, distance_minus_1, distance_symbol(distance_minus_1));
  }

  void write_trees(std::uint8_t flags, Reader& blocks) {
    CodeLengths lengths;
    BitString description;
    if ((flags & kSameTrees) != 0) {
      const SymbolCounts counts = count_symbols(tokens_);
      lengths = zlib_code_lengths(counts.literals, counts.distances, description);
    } else {
      constexpr std::size_t kMaxDescriptionBits = 4096;
      description.size = static_cast<std::uint32_t>(blocks.varint(kMaxDescriptionBits));
      const ByteView bytes = blocks.take((description.size + 7) / 8);
      description.bytes.assign(bytes.begin(), bytes.end());
      std::uint32_t at = 0;
      const auto read = [&](unsigned count) {
        std::uint32_t value = 0;
        for (unsigned i = 0; i < count && at < description.size; ++i, ++at) {
          value |= (description.bytes[at / 8] >> at % 8 & 1u) << i;
        }
        return value;
      };
      if (!read_code_lengths(read, lengths)) bad_corrections("a description of codes is wrong");
    }
    bits_.put_string(description.bytes, description.size);
    std::array<CodeWord, kLiteralSymbols> literals;
    std::array<CodeWord, kDistanceSymbols> distances;
    assign_code_words(lengths.literals, literals);
    assign_code_words(lengths.distances, distances);
    body_.use(literals, distances);
  }

  TokenPredictor predictor_;
  BitWriter bits_;
  TokenWriter body_;
  std::vector<Token> tokens_;
  std::size_t last_count_ = 0;
  std::size_t run_ = 0;  // tokens that are as predicted
  bool ended_ = false;
};

class TokenEncoder final : public DeflateEncoder {
 public:
  TokenEncoder(const TokenModel& model, Sink& out)
      : decoder_(model, [&out](ByteView bytes) { out.write(bytes); }), next_(ByteView()) {}

  void write(ByteView bytes) override {
    bytes = take_corrections(bytes);
    plain_.insert(plain_.end(), bytes.begin(), bytes.end());
    if (corrections_known_) decode_pieces();
  }
  void finish() override {
    if (!corrections_known_ || !plain_.empty() || piece_known_ || !next_.at_end()) {
      bad_corrections("they do not fit the content");
    }
    if (!decoder_.ended()) bad_corrections("the last block is missing");
    decoder_.align();
    decoder_.drain();
  }

 private:
  // Returns what follows them.
  ByteView take_corrections(ByteView bytes) {
    while (!corrections_known_ && !bytes.empty()) {
      const std::size_t wanted = held_.size() < kSizeField ? kSizeField : kSizeField + size_;
      const std::size_t part = std::min(bytes.size(), wanted - held_.size());
      held_.insert(held_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part));
      bytes = bytes.subspan(part);
      if (held_.size() == kSizeField) {
        size_ = load_le<std::uint32_t>(held_.data());
        if (size_ > kMaxCorrections) bad_corrections("there are too many");
      }
      if (held_.size() >= kSizeField && held_.size() == kSizeField + size_) {
        corrections_known_ = true;
        next_ = Reader(ByteView(held_).subspan(kSizeField));
      }
    }
    return bytes;
  }
  void decode_pieces() {
    std::size_t used = 0;
    while (piece_known_ || !next_.at_end()) {
      if (!piece_known_) piece_size_ = next_.varint(kMaxPieceBytes);
      piece_known_ = plain_.size() - used < piece_size_;
      if (piece_known_) break;  // wait for its content
      decoder_.decode(next_, ByteView(plain_).subspan(used, piece_size_));
      used += piece_size_;
    }
    if (next_.at_end() && !piece_known_ && used < plain_.size()) {
      bad_corrections("there is content without corrections");
    }
    plain_.erase(plain_.begin(), plain_.begin() + static_cast<std::ptrdiff_t>(used));
  }

  PieceDecoder decoder_;
  Bytes held_;  // size and corrections
  std::size_t size_ = 0;
  bool corrections_known_ = false;
  Reader next_;
  bool piece_known_ = false;  // piece_size_ was read, its content is not complete
  std::size_t piece_size_ = 0;
  Bytes plain_;
};

void add_fix(Bytes& out, Token predicted, Token real) {
  if (!real.is_match()) {
    out.push_back(static_cast<std::uint8_t>(Fix::literal));
    return;
  }
  const bool same_distance =
      predicted.is_match() && predicted.distance_minus_1() == real.distance_minus_1();
  out.push_back(static_cast<std::uint8_t>(same_distance ? Fix::other_length : Fix::other_match));
  out.push_back(static_cast<std::uint8_t>(real.length_minus_3()));
  if (same_distance) return;
  out.push_back(static_cast<std::uint8_t>(real.distance_minus_1()));
  out.push_back(static_cast<std::uint8_t>(real.distance_minus_1() >> 8));
}

constexpr std::size_t kModelParams = 15;

// zlib's levels 1 to 9 (the configuration table of deflate.c); then searches for four bytes.
constexpr auto kModels = std::to_array<TokenModel>({
    {3, 258, 0, 8, 4, 4, 32768, 32506},
    {3, 258, 0, 16, 8, 5, 32768, 32506},
    {3, 258, 0, 32, 32, 6, 32768, 32506},
    {3, 4, 4, 16, 16, 258, 4096, 32506},
    {3, 8, 16, 32, 32, 258, 4096, 32506},
    {3, 8, 16, 128, 128, 258, 4096, 32506},
    {3, 8, 32, 128, 256, 258, 4096, 32506},
    {3, 32, 128, 258, 1024, 258, 4096, 32506},
    {3, 32, 258, 258, 4096, 258, 4096, 32506},
    {4, 258, 0, 258, 1, 1, 32768, 32768},
    {4, 258, 16, 128, 128, 258, 4096, 32768},
    {4, 258, 258, 258, 4096, 258, 4096, 32768},
});

}  // namespace

EncoderSpec token_spec(const TokenModel& model) {
  Bytes params = {model.min_match};
  for (const std::uint16_t value :
       {model.good_length, model.max_lazy, model.nice_length, model.max_chain, model.max_insert,
        model.too_far, model.max_distance}) {
    params.push_back(static_cast<std::uint8_t>(value));
    params.push_back(static_cast<std::uint8_t>(value >> 8));
  }
  return {kTokenFamily, std::move(params)};
}

TokenModel parse_token_model(const Bytes& params) {
  if (params.size() != kModelParams) bad_corrections("a model has other parameters");
  const auto value = [&params](std::size_t i) {
    return load_le<std::uint16_t>(params.data() + 1 + 2 * i);
  };
  const TokenModel model{params[0], value(0), value(1), value(2),
                         value(3),  value(4), value(5), value(6)};
  const bool valid = (model.min_match == 3 || model.min_match == 4) &&
                     model.nice_length >= model.min_match && model.nice_length <= kMaxMatch &&
                     model.max_chain >= 1 && model.max_chain <= 4096 && model.max_distance >= 1 &&
                     model.max_distance <= kMaxDistance;
  if (!valid) bad_corrections("a parameter of a model is out of range");
  return model;
}

// Compares what the decoder makes with the original.
class TokenCoder::Prover {
 public:
  explicit Prover(const TokenModel& model)
      : decoder_(model, [this](ByteView bytes) { compare(bytes); }) {}

  void expect(ByteView original) {
    original_.insert(original_.end(), original.begin(), original.end());
  }
  bool prove(ByteView corrections, ByteView plain) {
    Reader reader(corrections);
    reader.varint(kMaxPieceBytes);  // the size of `plain`
    decoder_.decode(reader, plain);
    decoder_.drain();
    return equal_;
  }
  bool finish() {
    decoder_.align();
    decoder_.drain();
    return equal_ && original_.empty();
  }

 private:
  void compare(ByteView made) {
    equal_ = equal_ && made.size() <= original_.size() &&
             std::equal(made.begin(), made.end(), original_.begin());
    if (equal_)
      original_.erase(original_.begin(),
                      original_.begin() + static_cast<std::ptrdiff_t>(made.size()));
  }
  PieceDecoder decoder_;
  Bytes original_;
  bool equal_ = true;
};

TokenCoder::TokenCoder(const TokenModel& model)
    : predictor_(model), prover_(std::make_unique<Prover>(model)) {}
TokenCoder::~TokenCoder() = default;

bool TokenCoder::feed(ByteView compressed) {
  if (failed_) return false;
  prover_->expect(compressed);
  reader_.feed(compressed);
  failed_ = !take_blocks();
  return !failed_;
}

bool TokenCoder::take_blocks() {
  for (;;) {
    DeflateBlock block;
    switch (reader_.next(block)) {
      case BlockReader::Status::refused:
        return false;
      case BlockReader::Status::need_more:
        return true;
      case BlockReader::Status::end:
        ended_ = true;
        return true;
      case BlockReader::Status::block:
        piece_bytes_ += block.plain.size();
        blocks_.push_back(std::move(block));
        if (piece_bytes_ >= kPieceBytes && !end_piece()) return false;
    }
  }
}

bool TokenCoder::end_piece() {
  Bytes plain;
  for (const DeflateBlock& block : blocks_)
    plain.insert(plain.end(), block.plain.begin(), block.plain.end());
  Bytes block_part;
  Bytes token_part;
  std::size_t run = 0;
  predictor_.start(plain);
  for (const DeflateBlock& block : blocks_) {
    std::uint8_t flags = static_cast<std::uint8_t>((block.final_block ? 1 : 0) |
                                                   static_cast<unsigned>(block.type) << 1);
    if (block.type == BlockType::stored) {
      block_part.push_back(flags);
      add_varint(block_part, block.plain.size());
      predictor_.take_stored(static_cast<std::uint32_t>(block.plain.size()));
      continue;
    }
    BitString described;
    if (block.type == BlockType::dynamic) {
      const SymbolCounts counts = count_symbols(block.tokens);
      zlib_code_lengths(counts.literals, counts.distances, described);
      if (described == block.description) flags |= kSameTrees;
    }
    if (block.tokens.size() == last_count_) flags |= kSameCount;
    last_count_ = block.tokens.size();
    block_part.push_back(flags);
    if ((flags & kSameCount) == 0) add_varint(block_part, last_count_);
    if (block.type == BlockType::dynamic && (flags & kSameTrees) == 0) {
      add_varint(block_part, block.description.size);
      block_part.insert(block_part.end(), block.description.bytes.begin(),
                        block.description.bytes.end());
    }
    for (const Token token : block.tokens) {
      const Token predicted = predictor_.predict();
      if (same(predicted, token)) {
        ++run;
      } else {
        add_varint(token_part, run);
        add_fix(token_part, predicted, token);
        run = 0;
      }
      predictor_.take(token);
    }
  }
  predictor_.stop();
  add_varint(token_part, run);
  const std::size_t start = corrections_.size();
  add_varint(corrections_, plain.size());
  for (const Bytes* part : {&block_part, &token_part}) {
    add_varint(corrections_, part->size());
    corrections_.insert(corrections_.end(), part->begin(), part->end());
  }
  blocks_.clear();
  piece_bytes_ = 0;
  return corrections_.size() <= kMaxCorrections &&
         prover_->prove(ByteView(corrections_).subspan(start), plain);
}

bool TokenCoder::finish() {
  if (failed_ || !ended_) return false;
  return (blocks_.empty() || end_piece()) && prover_->finish();
}

std::optional<TokenModel> choose_token_model(ByteView start) {
  std::optional<TokenModel> best;
  std::size_t least = 0;
  for (const TokenModel& model : kModels) {
    TokenCoder coder(model);
    if (!coder.feed(start) || (!coder.blocks_.empty() && !coder.end_piece())) continue;
    if (best && coder.correction_bytes() >= least) continue;
    best = model;
    least = coder.correction_bytes();
  }
  return best;
}

std::unique_ptr<DeflateEncoder> make_token_encoder(const TokenModel& model, Sink& out) {
  return std::make_unique<TokenEncoder>(model, out);
}

}  // namespace bundle::codec
