// The carrier document: how the blobs of one release travel in one bundle. Canonical JSON, signed
// by a key of the carrier role. Format: docs/trust-model.md, "Carrier".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"

namespace bundle::trust {

// A set of blobs that the site must hold completely before a delta can be imported.
struct CarrierBase {
  std::string name;  // for people: "1.3.0"
  Digest digest;     // of the sorted blob list
  bool operator==(const CarrierBase&) const = default;
};

struct Carrier {
  std::string kind = "bundle";
  Digest statement_digest;  // of statement.json
  Digest index_digest;      // root of the index
  std::uint64_t index_size = 0;
  std::uint64_t pack_size = 0;   // bytes of all packs
  std::uint64_t leaf_count = 0;  // leaves of the hash tree
  std::vector<CarrierBase> bases;
  // Of bases.list, which names the base blobs that recipes read; size 0: they read none.
  Digest base_list_digest;
  std::uint64_t base_list_size = 0;
  // Of the file `documents`, in place of manifest and blob list; size 0: there is none.
  Digest documents_digest;
  std::uint64_t documents_size = 0;

  bool operator==(const Carrier&) const = default;
};

// The exact bytes to sign. Throws Error{statement_invalid} for a field out of its range.
std::string encode_carrier(const Carrier& carrier);
// As parse_statement, with kMaxCarrierBytes.
Carrier parse_carrier(std::string_view json, std::string_view what);

// Names a bundle in its volumes: the first 16 bytes of SHA-256 over carrier.json.
using BundleId = std::array<std::uint8_t, 16>;
BundleId bundle_id(std::string_view carrier_json);

}  // namespace bundle::trust
