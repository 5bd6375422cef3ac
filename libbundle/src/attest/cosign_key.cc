#include "attest/cosign_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "bundle/error.h"
#include "codec/json.h"
#include "crypto/secretbox.h"
#include "crypto/signing_command.h"

namespace bundle::attest {
namespace {

using codec::Json;

constexpr std::array<std::string_view, 2> kPemNames{"ENCRYPTED SIGSTORE PRIVATE KEY",
                                                    "ENCRYPTED COSIGN PRIVATE KEY"};

[[noreturn]] void refuse(std::string_view what, std::string_view problem) {
  throw Error(ErrorCode::key_invalid, fmt::format("{}: {}", what, problem),
              "Use the file that 'cosign generate-key-pair' wrote, or a copy of it.");
}

// The base64 between the PEM lines; nothing when they are others.
std::optional<std::string> pem_body(std::string_view text, std::string_view name) {
  const std::string first = fmt::format("-----BEGIN {}-----\n", name);
  const std::string last = fmt::format("\n-----END {}-----", name);
  const std::size_t begin = text.find(first);
  if (begin == std::string_view::npos) return std::nullopt;
  text.remove_prefix(begin + first.size());
  const std::size_t end = text.find(last);
  if (end == std::string_view::npos) return std::nullopt;
  std::string body(text.substr(0, end));
  std::erase_if(body, [](char c) { return c == '\n' || c == '\r'; });
  return body;
}

Bytes base64_member(const Json& object, std::string_view key, std::string_view what) {
  auto bytes = from_base64(object.at(key).as_string());
  if (!bytes) refuse(what, fmt::format("{} is no base64", key));
  return *std::move(bytes);
}

SecretBytes open_envelope(const Json& json, ByteView password, std::string_view what) {
  const Json& kdf = json.at("kdf");
  const Json& cipher = json.at("cipher");
  if (kdf.at("name").as_string() != "scrypt" || cipher.at("name").as_string() != "nacl/secretbox") {
    refuse(what, "the key is encrypted in an unknown way");
  }
  const Json& numbers = kdf.at("params");
  const std::uint64_t r = numbers.at("r").as_size();
  const std::uint64_t p = numbers.at("p").as_size();
  ScryptParams params;
  params.n = numbers.at("N").as_size();
  params.r = static_cast<std::uint32_t>(std::min<std::uint64_t>(r, UINT32_MAX));
  params.p = static_cast<std::uint32_t>(std::min<std::uint64_t>(p, UINT32_MAX));
  const SecretBytes key =
      scrypt(password, base64_member(kdf, "salt", what), params, kSecretboxKeySize, what);
  auto secret = open_secretbox(base64_member(json, "ciphertext", what),
                               base64_member(cipher, "nonce", what), key.view());
  if (!secret) {
    throw Error(ErrorCode::password_wrong,
                fmt::format("{}: the password does not open the key", what),
                "Name the right password file, or the right key.");
  }
  return *std::move(secret);
}

}  // namespace

EcdsaPrivateKey open_cosign_key(ByteView text, ByteView password, std::string_view what) {
  if (text.size() > kMaxPemBytes) refuse(what, "too large for a key");
  for (const std::string_view name : kPemNames) {
    const auto body = pem_body(as_text(text), name);
    if (!body) continue;
    const auto envelope = from_base64(*body);
    if (!envelope) refuse(what, "the text between the PEM lines is no base64");
    try {
      const Json json = codec::parse_json(as_text(*envelope), what);
      return EcdsaPrivateKey::parse_der(open_envelope(json, password, what).view(), what);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::json_invalid) throw;
      refuse(what, error.message());
    }
  }
  return EcdsaPrivateKey::parse_pem(text, password, what);
}

ClusterSigner key_signer(EcdsaPrivateKey key) {
  const auto shared = std::make_shared<const EcdsaPrivateKey>(std::move(key));
  return {shared->public_key(), [shared](ByteView message) { return shared->sign(message); }};
}

ClusterSigner command_signer(std::string command, EcdsaPublicKey public_key) {
  // Base64 of a DER signature and a line end fit.
  SigningCommand runner{std::move(command), "an ECDSA signature in DER, or base64 of it",
                        4 * kMaxEcdsaSignature};
  const auto sign = [runner, public_key](ByteView message) {
    const std::string output = runner.run(message, "");
    Bytes signature = to_bytes(output);
    if (!public_key.verifies(message, signature)) {
      std::string text = output;
      std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
      signature = from_base64(text).value_or(Bytes());
    }
    if (!public_key.verifies(message, signature)) {
      runner.fail("printed a signature that the public key does not verify");
    }
    return signature;
  };
  return {std::move(public_key), sign};
}

}  // namespace bundle::attest
