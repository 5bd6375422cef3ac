#include "crypto/minisign.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bundle/error.h"
#include "crypto/minisign_lines.h"

namespace bundle {
namespace {

constexpr std::string_view kAlgorithm = "Ed";
constexpr std::string_view kPrehashed = "ED";
constexpr std::size_t kIdSize = 8;
// "Ed", key id, public key.
constexpr std::size_t kPublicSize = 2 + kIdSize + 32;
// "Ed", key id, signature.
constexpr std::size_t kSignatureSize = 2 + kIdSize + 64;

constexpr std::string_view kSignatureHint =
    "Copy the .minisig file again from its origin, without opening it in an editor.";
constexpr std::string_view kFileHint =
    "It is damaged or no file of this kind. Copy it again from its origin.";

template <std::size_t size>
void copy_to(ByteView from, std::array<std::uint8_t, size>& to) {
  std::ranges::copy(from.first(size), to.begin());
}

void append(Bytes& to, ByteView bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// What the global signature covers: the signature, then the trusted comment.
Bytes global_message(const Ed25519Signature& signature, std::string_view trusted_comment) {
  Bytes message(signature.begin(), signature.end());
  append(message, as_bytes(trusted_comment));
  return message;
}

Error malformed(std::string_view what, std::string_view problem, std::string_view hint) {
  return {ErrorCode::signature_malformed, fmt::format("{}: {}", what, problem), std::string(hint)};
}

}  // namespace

std::vector<std::string_view> minisign_lines(std::string_view text, std::size_t count,
                                             ErrorCode code, std::string_view what) {
  if (text.size() > kMaxMinisignFileBytes) {
    throw Error(code,
                fmt::format("{}: {} bytes, too long for a minisign file (limit {})", what,
                            text.size(), kMaxMinisignFileBytes),
                std::string(kFileHint));
  }
  const auto is_control = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7f;
  };
  const auto control = std::ranges::find_if(text, is_control);
  if (control != text.end()) {
    throw Error(code,
                fmt::format("{}: a control character at byte {}", what, control - text.begin()),
                "The file was changed on the way (a Windows line end is a control character too). "
                "Copy it again from its origin.");
  }
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  if (lines.size() != count) {
    throw Error(code,
                fmt::format("{}: {} lines where a minisign file of this kind has {}", what,
                            lines.size(), count),
                std::string(kFileHint));
  }
  return lines;
}

std::string_view minisign_comment(std::string_view line, std::string_view prefix, std::size_t limit,
                                  ErrorCode code, std::string_view what) {
  if (!line.starts_with(prefix)) {
    throw Error(code, fmt::format("{}: no line that starts with '{}'", what, prefix),
                std::string(kFileHint));
  }
  line.remove_prefix(prefix.size());
  if (line.size() > limit) {
    throw Error(code, fmt::format("{}: a comment longer than {} bytes", what, limit),
                std::string(kFileHint));
  }
  return line;
}

bool is_minisign_comment(std::string_view text, std::size_t limit) {
  return text.size() <= limit && std::ranges::all_of(text, [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte >= 0x20 && byte < 0x7f;
         });
}

std::string MinisignKeyId::text() const {
  return fmt::format("{:016X}", load_le<std::uint64_t>(bytes.data()));
}

std::optional<MinisignKeyId> MinisignKeyId::parse(std::string_view text) {
  if (text.size() != 2 * kIdSize) return std::nullopt;
  MinisignKeyId id;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  store_le(id.bytes.data(), number);
  if (id.text() != text) return std::nullopt;
  return id;
}

MinisignPublicKey MinisignPublicKey::parse(std::string_view text, std::string_view what) {
  constexpr auto kCode = ErrorCode::key_invalid;
  std::string_view encoded = text;
  if (text.starts_with(kUntrustedPrefix)) {
    const auto lines = minisign_lines(text, 2, kCode, what);
    minisign_comment(lines[0], kUntrustedPrefix, kMaxUntrustedComment, kCode, what);
    encoded = lines[1];
  } else if (encoded.ends_with('\n')) {
    encoded.remove_suffix(1);
  }
  const auto bytes = encoded.size() <= kMaxMinisignFileBytes ? from_base64(encoded) : std::nullopt;
  if (!bytes || bytes->size() != kPublicSize || !as_text(*bytes).starts_with(kAlgorithm)) {
    throw Error(kCode, fmt::format("{}: not a minisign public key", what),
                "A public key is the NAME.pub file that keygen or minisign -G wrote.");
  }
  MinisignPublicKey key;
  const ByteView view(*bytes);
  copy_to(view.subspan(2), key.id.bytes);
  copy_to(view.subspan(2 + kIdSize), key.key);
  return key;
}

std::string MinisignPublicKey::base64() const {
  Bytes bytes = to_bytes(kAlgorithm);
  append(bytes, id.bytes);
  append(bytes, key);
  return to_base64(bytes);
}

std::string MinisignPublicKey::text() const {
  return fmt::format("{}minisign public key {}\n{}\n", kUntrustedPrefix, id.text(), base64());
}

MinisignSignature MinisignSignature::parse(std::string_view text, std::string_view what) {
  constexpr auto kCode = ErrorCode::signature_malformed;
  const auto lines = minisign_lines(text, 4, kCode, what);
  MinisignSignature parsed;
  parsed.untrusted_comment =
      minisign_comment(lines[0], kUntrustedPrefix, kMaxUntrustedComment, kCode, what);
  parsed.trusted_comment =
      minisign_comment(lines[2], kTrustedPrefix, kMaxTrustedComment, kCode, what);
  const auto first = from_base64(lines[1]);
  if (!first || first->size() != kSignatureSize) {
    throw malformed(what, "line 2 is not the base64 text of a signature", kSignatureHint);
  }
  const ByteView view(*first);
  const std::string_view algorithm = as_text(view.first(2));
  if (algorithm == kPrehashed) {
    throw malformed(what, "the prehashed algorithm 'ED' is not accepted, only 'Ed'",
                    "Sign again with 'minisign -S -l', or with 'bundle-make sign'.");
  }
  if (algorithm != kAlgorithm) {
    throw malformed(what, "an unknown signature algorithm, only 'Ed' is accepted", kSignatureHint);
  }
  copy_to(view.subspan(2), parsed.key_id.bytes);
  copy_to(view.subspan(2 + kIdSize), parsed.signature);
  const auto global = from_base64(lines[3]);
  if (!global || global->size() != parsed.global_signature.size()) {
    throw malformed(what, "line 4 is not the base64 text of a signature", kSignatureHint);
  }
  copy_to(ByteView(*global), parsed.global_signature);
  return parsed;
}

std::string MinisignSignature::text() const {
  Bytes first = to_bytes(kAlgorithm);
  append(first, key_id.bytes);
  append(first, signature);
  return fmt::format("{}{}\n{}\n{}{}\n{}\n", kUntrustedPrefix, untrusted_comment, to_base64(first),
                     kTrustedPrefix, trusted_comment, to_base64(global_signature));
}

bool MinisignSignature::verifies(const Ed25519PublicKey& key, ByteView message) const {
  return verify_ed25519(key, message, signature);
}

bool MinisignSignature::comment_verifies(const Ed25519PublicKey& key) const {
  return verify_ed25519(key, global_message(signature, trusted_comment), global_signature);
}

MinisignSignature MinisignSecretKey::sign(ByteView message,
                                          std::string_view trusted_comment) const {
  if (!is_minisign_comment(trusted_comment, kMaxTrustedComment)) {
    throw Error(ErrorCode::usage,
                fmt::format("a trusted comment is one line of at most {} bytes of printable ASCII",
                            kMaxTrustedComment));
  }
  MinisignSignature signature;
  signature.key_id = id_;
  signature.signature = key_.sign(message);
  signature.untrusted_comment = fmt::format("signature from key {}", id_.text());
  signature.trusted_comment = trusted_comment;
  signature.global_signature = key_.sign(global_message(signature.signature, trusted_comment));
  return signature;
}

}  // namespace bundle
