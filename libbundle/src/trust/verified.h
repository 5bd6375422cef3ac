// Verified state as a type: a Verified<T> exists only when a trust root accepted its signatures.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "crypto/digest.h"
#include "trust/carrier.h"
#include "trust/pointer.h"
#include "trust/revocation.h"
#include "trust/statement.h"
#include "trust/time_statement.h"

namespace bundle::trust {

class TrustRoot;

// A document together with the bytes that were signed. Made by TrustRoot only. Copyable.
template <typename Document>
class Verified {
 public:
  const Document& operator*() const { return document_; }
  const Document* operator->() const { return &document_; }
  // The signed bytes, exactly as they came.
  const std::string& raw() const { return raw_; }
  // SHA-256 of raw().
  const Digest& digest() const { return digest_; }
  // TUF key ids of the role whose signatures were valid, sorted, each once.
  const std::vector<std::string>& signers() const { return signers_; }
  // Version of the root that accepted it.
  std::uint64_t root_version() const { return root_version_; }

 private:
  friend class TrustRoot;
  Verified(Document document, std::string raw, std::vector<std::string> signers,
           std::uint64_t root_version)
      : document_(std::move(document)),
        raw_(std::move(raw)),
        digest_(sha256(as_bytes(raw_))),
        signers_(std::move(signers)),
        root_version_(root_version) {}

  Document document_;
  std::string raw_;
  Digest digest_;
  std::vector<std::string> signers_;
  std::uint64_t root_version_;
};

using VerifiedRelease = Verified<Statement>;
using VerifiedCarrier = Verified<Carrier>;
using VerifiedPointer = Verified<ChannelPointer>;
using VerifiedRevocations = Verified<RevocationList>;
using VerifiedTime = Verified<TimeStatement>;

}  // namespace bundle::trust
