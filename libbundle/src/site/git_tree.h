// Trees of files as commits of a Git repository, by git(1).
#pragma once

#include <string>

#include "base/time.h"
#include "bundle/progress.h"
#include "io/file_system.h"
#include "oci/text_tree.h"

namespace bundle::site {

struct GitCommit {
  std::string message;
  UnixTime time = 0;  // of author and committer: the same history has the same commit ids
  std::string branch;
};

// Makes the branch's newest commit hold exactly `tree`, and returns its id; a commit that would
// change nothing is not made. The repository is made when `folder` is empty or not there; its work
// tree is replaced. Configuration and hooks of the machine have no say.
// Throws Error{usage} when the folder is something else, Error{not_found} without git,
// Error{io_error} with what git said, Error{cancelled}.
std::string commit_tree(FileSystem& fs, const Path& folder, const oci::TextTree& tree,
                        const GitCommit& commit, const Cancel& cancel);

}  // namespace bundle::site
