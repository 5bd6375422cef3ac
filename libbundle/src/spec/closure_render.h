// What helm and kustomize make of a release, as text. Private to the closure check.
#pragma once

#include <string>
#include <vector>

#include "bundle/progress.h"
#include "io/file_system.h"
#include "oci/text_tree.h"

namespace bundle::spec {

// A folder for files that the programs read; it goes with this object.
class ScratchTree {
 public:
  explicit ScratchTree(FileSystem& fs);
  ~ScratchTree();
  ScratchTree(const ScratchTree&) = delete;
  ScratchTree& operator=(const ScratchTree&) = delete;

  void write(const oci::TextTree& tree, const Path& below) const;
  void clear(const Path& below) const;  // an empty folder afterwards
  const Path& root() const { return root_; }
  FileSystem& file_system() const { return fs_; }

 private:
  FileSystem& fs_;
  Path root_;
};

// `helm template` of the chart in `scratch`/chart/<name>; the values are laid one over the other.
// What each template gave, by "<chart>/templates/web.yaml"; hooks and custom resource definitions
// are part of it. Throws Error{spec_invalid} with what helm said, Error{limit}, Error{cancelled}.
oci::TextTree render_chart(const std::string& helm, const ScratchTree& scratch,
                           const std::string& chart, const std::string& k8s_version,
                           const std::vector<Path>& values, const Cancel& cancel);

// `kustomize build` of a folder in `scratch`. Throws the same.
std::string render_folder(const std::string& kustomize, const ScratchTree& scratch,
                          const Path& folder, const Cancel& cancel);

}  // namespace bundle::spec
