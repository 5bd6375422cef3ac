// Shared by the trust tests: a vendor with keys, and documents signed by them.
#pragma once

#include <string>
#include <vector>

#include "crypto/signer.h"
#include "crypto/test_support.h"
#include "trust/root_builder.h"
#include "trust/trust_root.h"
#include "trust/trust_state.h"

namespace bundle::trust::test {

using bundle::test::expect_error;
using bundle::test::fixed_key;
using bundle::test::ScratchDirectory;

inline constexpr UnixTime kDay = 24 * 60 * 60;
inline constexpr UnixTime kNow = 1'800'000'000;  // 2027-01-15

inline Digest digest_of(std::string_view text) {
  return sha256(as_bytes(text));
}

inline Statement sample_statement(std::string version = "1.4.0", std::uint64_t number = 7) {
  Statement statement;
  statement.product = "example-appliance";
  statement.version = std::move(version);
  statement.release_number = number;
  statement.created = kNow - kDay;
  statement.expires = kNow + 365 * kDay;
  statement.manifest_digest = digest_of("manifest " + statement.version);
  statement.manifest_size = 4096;
  statement.blob_list_digest = digest_of("blobs " + statement.version);
  statement.blob_list_size = 800;
  statement.blob_count = 10;
  statement.blob_bytes = 123'456'789;
  return statement;
}

inline Carrier sample_carrier(const Digest& statement_digest) {
  Carrier carrier;
  carrier.statement_digest = statement_digest;
  carrier.index_digest = digest_of("index");
  carrier.index_size = 1000;
  carrier.pack_size = 1'000'000;
  carrier.leaf_count = 12;
  return carrier;
}

inline ChannelPointer sample_pointer(const Digest& statement_digest, std::uint64_t sequence = 3) {
  ChannelPointer pointer;
  pointer.product = "example-appliance";
  pointer.channel = "stable";
  pointer.sequence = sequence;
  pointer.created = kNow - kDay;
  pointer.expires = kNow + 14 * kDay;
  pointer.statement_digest = statement_digest;
  pointer.release_version = "1.4.0";
  pointer.root_version = 1;
  return pointer;
}

// The signature file of key `number` over `document`.
inline SignatureFile signature_by(int number, std::string_view document,
                                  std::string_view comment = "test") {
  const MinisignSignature signature = fixed_key(number).sign(as_bytes(document), comment);
  return {signature_file_name("document.json", signature), signature.text()};
}

inline std::vector<SignatureFile> signatures_by(std::initializer_list<int> keys,
                                                std::string_view document) {
  std::vector<SignatureFile> files;
  for (const int key : keys) files.push_back(signature_by(key, document));
  return files;
}

inline std::string sign_root_with(std::string root, std::initializer_list<int> keys) {
  for (const int key : keys) {
    FileSigner signer(fixed_key(key));
    root = sign_root(root, signer);
  }
  return root;
}

// Root keys 1 2 3 (two needed), release keys 11 12 13 (two needed), timestamp 21, carrier 31.
inline RootMetadata sample_root() {
  RootMetadata root;
  root.version = 1;
  root.expires = kNow + 365 * kDay;
  for (const int key : {1, 2, 3}) add_key(root, role::kRoot, fixed_key(key).public_key());
  for (const int key : {11, 12, 13}) {
    add_key(root, role::kRelease, fixed_key(key).public_key());
  }
  add_key(root, role::kTimestamp, fixed_key(21).public_key());
  add_key(root, role::kCarrier, fixed_key(31).public_key());
  set_threshold(root, role::kRoot, 2);
  set_threshold(root, role::kRelease, 2);
  return root;
}

inline std::string sample_root_json() {
  return sign_root_with(encode_root(sample_root()), {1, 2});
}
inline TrustRoot sample_trust() {
  return TrustRoot::parse(sample_root_json(), "1.root.json");
}

inline TrustRoot bare_trust(int key) {
  return TrustRoot::from_public_key(fixed_key(key).public_key().text(), "vendor.pub");
}

inline VerifiedRelease verified(const TrustRoot& root, const Statement& statement,
                                std::initializer_list<int> keys) {
  const std::string json = encode_statement(statement);
  return root.verify_release(json, signatures_by(keys, json), kNow);
}

}  // namespace bundle::trust::test
