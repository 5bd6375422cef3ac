#include "crypto/ed25519.h"

#include <algorithm>

#include "crypto/test_support.h"

namespace bundle {
namespace {

template <std::size_t size>
std::array<std::uint8_t, size> hex_array(std::string_view hex) {
  std::array<std::uint8_t, size> array{};
  const Bytes bytes = from_hex(hex).value();
  std::copy_n(bytes.begin(), size, array.begin());
  return array;
}

// RFC 8032, section 7.1, TEST 1 to 3.
struct Vector {
  std::string_view seed, key, message, signature;
};
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Ed25519, RfcVectors) {
  for (const Vector& vector : kVectors) {
    const auto key = Ed25519SecretKey::from_seed(*from_hex(vector.seed));
    const Bytes message = *from_hex(vector.message);
    EXPECT_EQ(to_hex(key.public_key()), vector.key);
    EXPECT_EQ(to_hex(key.sign(message)), vector.signature);
    EXPECT_TRUE(
        verify_ed25519(hex_array<32>(vector.key), message, hex_array<64>(vector.signature)));
  }
}

TEST(Ed25519, EveryFlippedBitIsRefused) {
  const auto key = Ed25519SecretKey::generate();
  const Bytes message = to_bytes("statement");
  const Ed25519Signature signature = key.sign(message);
  ASSERT_TRUE(verify_ed25519(key.public_key(), message, signature));
  for (std::size_t bit = 0; bit < 8 * signature.size(); ++bit) {
    Ed25519Signature changed = signature;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(verify_ed25519(key.public_key(), message, changed)) << bit;
  }
  for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
    Bytes changed = message;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(verify_ed25519(key.public_key(), changed, signature)) << bit;
  }
}

// A small-order key "verifies" R = identity, S = 0 for every message in lax implementations.
TEST(Ed25519, SmallOrderKeyIsRefused) {
  Ed25519PublicKey identity{};
  identity[0] = 1;
  Ed25519Signature forged{};
  forged[0] = 1;
  EXPECT_FALSE(verify_ed25519(identity, as_bytes("anything"), forged));
  EXPECT_FALSE(verify_ed25519(Ed25519PublicKey{}, as_bytes("anything"), Ed25519Signature{}));
}

// S + L is a second spelling of the same signature.
TEST(Ed25519, MalleableSignatureIsRefused) {
  const Bytes order = *from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  const auto key = Ed25519SecretKey::generate();
  Ed25519Signature signature = key.sign(as_bytes("statement"));
  unsigned carry = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    carry += static_cast<unsigned>(signature[32 + i]) + order[i];
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(verify_ed25519(key.public_key(), as_bytes("statement"), signature));
}

TEST(Ed25519, MismatchedHalvesAreRefused) {
  const auto key = Ed25519SecretKey::generate();
  Bytes bytes(key.bytes().begin(), key.bytes().end());
  EXPECT_EQ(Ed25519SecretKey::from_bytes(bytes).public_key(), key.public_key());
  bytes.back() ^= 1;
  test::expect_error(ErrorCode::key_invalid, [&] { Ed25519SecretKey::from_bytes(bytes); });
  bytes.pop_back();
  test::expect_error(ErrorCode::key_invalid, [&] { Ed25519SecretKey::from_bytes(bytes); });
}

TEST(SecretBytes, StartsZeroAndShrinks) {
  SecretBytes secret(64);
  EXPECT_TRUE(std::ranges::all_of(secret.view(), [](std::uint8_t byte) { return byte == 0; }));
  std::ranges::fill(secret.span(), std::uint8_t{7});
  const std::uint8_t* tail = secret.data() + 10;
  secret.shrink(10);
  EXPECT_EQ(secret.size(), 10U);
  EXPECT_EQ(*tail, 0) << "what is cut off must be gone";
  test::expect_error(ErrorCode::internal, [&] { secret.shrink(11); });
}

}  // namespace
}  // namespace bundle
