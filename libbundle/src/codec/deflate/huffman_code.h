#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bundle::codec {

/// A Huffman code word, bit-reversed as deflate sends it. Length 0: the symbol has no code.
struct CodeWord {
  uint16_t bits = 0;
  uint16_t length = 0;
};

/// The optimal code with words of at most `max_length` bits (at most 15), with the choices between
/// equally good codes that the Go family of encoders makes: package-merge, where a package goes
/// before a leaf of equal weight, symbols of equal weight in symbol order. One or two symbols get
/// one bit each.
/// `codes` has at least as many entries as `weights` (at most 320); weights are below 2^23.
void build_huffman_code(std::span<const uint32_t> weights, unsigned max_length,
                        std::span<CodeWord> codes);

/// Whether no two words of such lengths (at most 15) begin alike. Words may be left over.
bool is_prefix_code(std::span<const uint8_t> lengths);

/// Gives the words of the canonical code with these lengths (RFC 1951 3.2.2). The lengths are at
/// most 15 and not over-subscribed.
void assign_code_words(std::span<const uint8_t> lengths, std::span<CodeWord> codes);

/// Sum of weight x length.
uint64_t coded_bits(std::span<const uint32_t> weights, std::span<const CodeWord> codes);

/// The codes of RFC 1951 3.2.6.
std::span<const CodeWord> fixed_literal_code();   // 286 words
std::span<const CodeWord> fixed_distance_code();  // 30 words

}  // namespace bundle::codec
