// News and roots as files of one folder: the vendor's trust folder, a site's memory.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_system.h"
#include "trust/trust_root.h"

namespace bundle::trust {

// The roots, news and signatures among the plain files of `folder`, sorted by name; names are full
// paths. Nothing when there is no such folder. Throws Error{limit} past the limits of each kind.
std::vector<SignatureFile> read_trust_files(FileSystem& fs, const Path& folder);

// Writes signature files first and the document last, so that a document that is there is whole.
void write_signed(FileSystem& fs, const Path& folder, const std::string& name,
                  std::string_view document, std::span<const SignatureFile> signatures);

// Removes the other numbers of the news called `kept`, with their signatures. Not only lower ones:
// a number that a thief drove up is forgotten when a new root takes away the key.
void remove_others(FileSystem& fs, const Path& folder, std::string_view kept);

}  // namespace bundle::trust
