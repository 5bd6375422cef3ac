#include "crypto/password_hash.h"

#include <gtest/gtest.h>

namespace bundle {
namespace {

// Published vectors: Openwall crypt_blowfish, wrapper.c.
const std::string kKnown = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

TEST(PasswordHash, KnownVectors) {
  EXPECT_TRUE(bcrypt_matches("U*U", kKnown));
  EXPECT_TRUE(
      bcrypt_matches("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"));
  EXPECT_FALSE(bcrypt_matches("U*u", kKnown));
  EXPECT_FALSE(bcrypt_matches("", kKnown));
}

TEST(PasswordHash, OddPasswordsAreRefused) {
  EXPECT_FALSE(bcrypt_matches(std::string("U*U\0", 4), kKnown));
  EXPECT_FALSE(bcrypt_matches(std::string(kMaxBcryptPassword + 1, 'a'), kKnown));
}

TEST(PasswordHash, OnlyBcryptOfABoundedCostIsAHash) {
  EXPECT_TRUE(is_bcrypt_hash(kKnown));
  for (const std::string& bad :
       {std::string(), std::string("plain"), std::string("$apr1$x$y"), std::string("{SHA}abc="),
        "$2x" + kKnown.substr(3), "$2a$03" + kKnown.substr(6), "$2a$15" + kKnown.substr(6),
        "$2a$xx" + kKnown.substr(6), kKnown + "a", kKnown.substr(0, 59),
        kKnown.substr(0, 59) + ":"}) {
    EXPECT_FALSE(is_bcrypt_hash(bad)) << bad;
    EXPECT_FALSE(bcrypt_matches("U*U", bad)) << bad;
  }
}

TEST(PasswordHash, SecretsAreComparedWhole) {
  EXPECT_TRUE(equal_secrets("", ""));
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "ab"));
}

}  // namespace
}  // namespace bundle
