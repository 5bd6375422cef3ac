// Shared by the calls of the vendor's side: who signs, and the documents of a bundle folder.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"
#include "bundle/make.h"
#include "crypto/signer.h"
#include "format/volume.h"
#include "io/file_system.h"
#include "trust/trust_root.h"

namespace bundle::vendor {

inline constexpr UnixTime kDay = UnixTime{24} * 60 * 60;

SecretBytes read_password(FileSystem& fs, const std::filesystem::path& file, int fd);
std::unique_ptr<Signer> open_signer(FileSystem& fs, const SignWith& sign);

// A document of a bundle's folder: loose, or else from the volumes; of one volume: from that one.
// Empty when it has none.
std::string find_document(FileSystem& fs, const Path& bundle, std::string_view name);

// The roots and the newest news of a vendor's trust folder, ready for a bundle's tail. Throws what
// a site would throw that follows them from their first root on.
format::FileList files_to_carry(FileSystem& fs, const Path& folder);

// The newest root of the vendor's trust folder, whose `files` these are, as a site would get to it
// from `trust` (a public key or root; empty: the oldest root of the folder). Throws Error{no_trust}
// when neither is there, and what a site would throw.
trust::TrustRoot vendor_root(FileSystem& fs, const Path& folder,
                             std::span<const trust::SignatureFile> files, const Path& trust);

}  // namespace bundle::vendor
