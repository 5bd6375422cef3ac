// Every limit on trust metadata that comes from outside, in one place. Checked before parsing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bundle::trust {

// A statement names one manifest and one list by digest: 600 bytes in practice.
inline constexpr std::size_t kMaxStatementBytes = 64 * 1024;
// A carrier names the index and its base sets: 120 bytes a base.
inline constexpr std::size_t kMaxCarrierBytes = 64 * 1024;
inline constexpr std::size_t kMaxCarrierBases = 64;
inline constexpr std::size_t kMaxPointerBytes = 16 * 1024;
inline constexpr std::size_t kMaxTimeBytes = 4 * 1024;
// TUF's cap on root metadata (the W of its client workflow): 512 KB as in python-tuf.
inline constexpr std::size_t kMaxRootBytes = 512 * 1024;
// TUF's cap on root updates in one go (Z of its client workflow). A root a month lasts 85 years.
inline constexpr std::size_t kMaxRootChain = 1024;
inline constexpr std::size_t kMaxRootKeys = 128;
inline constexpr std::size_t kMaxRootSignatures = 128;
inline constexpr std::size_t kMaxRoles = 16;
// Signature files of one document. Each costs at most one verification per key of the role.
inline constexpr std::size_t kMaxSignatureFiles = 32;
// minisign's own files have four short lines.
inline constexpr std::size_t kMaxSignatureFileBytes = 16 * 1024;
// Roots, news and signatures of one folder.
inline constexpr std::size_t kMaxTrustFiles = 4096;
inline constexpr std::size_t kMaxRevocationBytes = 1024 * 1024;
inline constexpr std::size_t kMaxRevocationEntries = 4096;
inline constexpr std::size_t kMaxStateBytes = 1024 * 1024;
// Product, version, channel and base names: they become file names.
inline constexpr std::size_t kMaxNameBytes = 128;
// Numbers that other JSON readers keep exactly (2^53 - 1).
inline constexpr std::uint64_t kMaxJsonNumber = 9007199254740991;

}  // namespace bundle::trust
