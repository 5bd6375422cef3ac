// SHA-256 digests, the names of all content here.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "io/stream.h"

namespace bundle {

// A SHA-256 value. Written as "sha256:<64 lower-case hex digits>" (OCI image-spec, descriptor).
class Digest {
 public:
  static constexpr std::size_t kSize = 32;

  Digest() = default;
  explicit Digest(const std::array<std::uint8_t, kSize>& value) : value_(value) {}

  // Throws Error{oci_invalid}: not exactly "sha256:" and 64 lower-case hex digits.
  static Digest parse(std::string_view text);
  static bool is_valid(std::string_view text);
  static Digest from_bytes(ByteView bytes);  // exactly kSize bytes

  std::string text() const;  // "sha256:..."
  std::string hex() const;   // 64 digits
  ByteView bytes() const { return value_; }

  auto operator<=>(const Digest&) const = default;

 private:
  std::array<std::uint8_t, kSize> value_{};
};

// Streaming SHA-256 (FIPS 180-4, by OpenSSL). Movable, not thread-safe.
class Sha256 final : public Sink {
 public:
  Sha256();
  ~Sha256() override;
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void write(ByteView bytes) override;
  // Ends the computation; the object may not be used afterwards.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(ByteView bytes);

}  // namespace bundle

template <>
struct std::hash<bundle::Digest> {
  std::size_t operator()(const bundle::Digest& digest) const noexcept {
    return bundle::load_le<std::size_t>(digest.bytes().data());
  }
};
