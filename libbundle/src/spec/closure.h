// The closure check: every image that the chart and the desired state of a release can name is in
// the release, and named by its digest. docs/release-spec.md, "Closure".
#pragma once

#include <string>
#include <vector>

#include "bundle/progress.h"
#include "io/file_system.h"
#include "spec/resolve.h"
#include "spec/spec.h"

namespace bundle::spec {

struct ClosureFinding {
  std::string place;    // "helm/templates/web.yaml:12", or a line of what a program has rendered
  std::string image;    // as it stands there
  std::string problem;  // "is not in the release", for people
  std::string reason;   // of the exception that covers it; empty: a leak
};

struct ClosureReport {
  std::size_t references = 0;         // looked at, in all profiles
  std::vector<std::string> rendered;  // "helm single-node", "kustomize profiles/single-node"
  std::vector<std::string> notes;     // what was not, or not fully, looked at, and why
  std::vector<ClosureFinding> leaks;  // sorted by place
  std::vector<ClosureFinding> excepted;
};

// The programs that render; empty paths: not there. By default those of PATH.
struct Renderers {
  std::string helm;
  std::string kustomize;
  static Renderers of_this_machine();
};

// Renders the chart with every profile (helm) and every folder that Flux builds (kustomize), and
// searches what comes out. Without helm the templates are searched as text and the values of each
// profile as they are, and a note says what an expression may hide; without kustomize every file of
// the desired state is searched as it is. Nothing leaves this machine.
// Throws Error{spec_invalid} when a program refuses the chart or a folder, or what comes out is no
// YAML; Error{cancelled}, and what files and processes throw.
ClosureReport check_closure(FileSystem& fs, const ReleaseSpec& spec, const ResolvedRelease& release,
                            const Renderers& renderers, const Cancel& cancel);

// Throws Error{spec_invalid} that names every leak.
void require_closed(const ClosureReport& report);

}  // namespace bundle::spec
