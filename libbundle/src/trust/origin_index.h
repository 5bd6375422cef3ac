// The listing of an origin, origin.json: which releases it has and in which bundles they come.
// Written like the signed documents, but signed by nobody: it says where to look, and what is found
// there is believed for its own signatures. Format: docs/origin.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trust/carrier.h"

namespace bundle::trust {

inline constexpr std::size_t kMaxOriginBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxOriginChannels = 64;
inline constexpr std::size_t kMaxOriginReleases = 1024;
inline constexpr std::size_t kMaxOriginBundles = 64;    // of one release
inline constexpr std::size_t kMaxOriginVolumes = 4096;  // of one bundle
inline constexpr std::size_t kMaxOriginDocuments = 64;  // of one release

struct OriginVolume {
  std::string name;  // below the bundle's folder; ends in ".bundle"
  std::uint64_t size = 0;
  bool operator==(const OriginVolume&) const = default;
};

struct OriginBundle {
  std::string id;                  // 32 hex digits
  std::vector<CarrierBase> bases;  // of a delta: what a site must hold, one of them
  std::uint64_t pack_size = 0;     // of all packs
  std::vector<OriginVolume> volumes;
  bool operator==(const OriginBundle&) const = default;
};

struct OriginRelease {
  std::string version;
  std::uint64_t number = 0;
  Digest statement;  // of statement.json
  std::vector<OriginBundle> bundles;
  // Of a release that lies in plain blobs: its documents in "releases/<version>/". Its blobs are
  // "blobs/sha256/<hex>" below the origin. Empty: it comes in bundles only.
  std::vector<std::string> documents;
  bool operator==(const OriginRelease&) const = default;
};

struct OriginIndex {
  std::string product;
  std::vector<std::string> channels;    // sorted
  std::vector<OriginRelease> releases;  // ascending by number
  bool operator==(const OriginIndex&) const = default;
};

// Paths below the origin.
inline constexpr std::string_view kOriginIndexName = "origin.json";
std::string origin_channel_path(std::string_view channel);
// "releases/<version>/<bundle id>".
std::string origin_bundle_path(std::string_view version, std::string_view bundle_id);

// "releases/<version>/<document>".
std::string origin_document_path(std::string_view version, std::string_view document);
// True for statement.json, its signatures, manifest.json and blobs.list.
bool is_release_document(std::string_view name);

// Throws Error{statement_invalid} for a field out of its range.
std::string encode_origin_index(const OriginIndex& index);
// As parse_statement, with kMaxOriginBytes.
OriginIndex parse_origin_index(std::string_view json, std::string_view what);

}  // namespace bundle::trust
