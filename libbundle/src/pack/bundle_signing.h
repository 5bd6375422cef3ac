// Signing a bundle that is already made: in place, later, by several people.
#pragma once

#include <string>
#include <vector>

#include "crypto/signer.h"
#include "format/volume.h"
#include "io/file_system.h"
#include "trust/statement.h"

namespace bundle::pack {

// The trusted comment of a signature: says what was signed, and nothing that changes from run to
// run.
std::string trusted_comment(std::string_view product, std::string_view version,
                            std::uint64_t release_number);

// statement.<keyid>.minisig and carrier.<keyid>.minisig by one signer.
format::FileList sign_documents(Signer& signer, std::string_view statement_json,
                                std::string_view carrier_json);

// The second of the two alone.
format::NamedFile sign_carrier(Signer& signer, const trust::Statement& release,
                               std::string_view carrier_json);

// Adds `added` and the loose signatures and roots of the folder to the tail of every volume in
// `directory`, and writes all of them as loose files. A volume's old tail may be damaged (an
// earlier run was cut short): it is written anew from the others. Returns the number of volumes.
std::size_t add_to_bundle(FileSystem& fs, const Path& directory, const format::FileList& added);

}  // namespace bundle::pack
