#include "spec/closure_render.h"

#include <fmt/format.h>

#include <filesystem>

#include "bundle/error.h"
#include "crypto/random.h"
#include "flux/manifest_text.h"
#include "io/process.h"

namespace bundle::spec {
namespace {

constexpr std::chrono::minutes kTimeLimit{5};
constexpr std::size_t kMessageLimit = 4000;

void run(const Path& home, std::vector<std::string> arguments, const Cancel& cancel) {
  ProcessRequest request;
  request.arguments = std::move(arguments);
  // Nothing of the user's configuration, plugins or repositories decides what comes out.
  request.environment = {"HOME=" + home.string(),
                         "XDG_CONFIG_HOME=" + home.string(),
                         "XDG_CACHE_HOME=" + home.string(),
                         "XDG_DATA_HOME=" + home.string(),
                         "LC_ALL=C",
                         "PATH=/usr/bin:/bin"};
  request.working_directory = home;
  request.time_limit = kTimeLimit;
  request.output_limit = kMessageLimit;
  const ProcessResult result = run_process(request, cancel);
  const std::string what =
      Path(request.arguments[0]).filename().string() + " " + request.arguments[1];
  if (result.end != ProcessResult::End::exited || result.status != 0) {
    throw Error(
        ErrorCode::spec_invalid,
        fmt::format("{} failed{}:\n{}", what,
                    result.end == ProcessResult::End::timed_out ? " (it took too long)" : "",
                    result.output),
        "Correct the chart, its values or the desired state until the program accepts it.");
  }
}

}  // namespace

ScratchTree::ScratchTree(FileSystem& fs)
    : fs_(fs),
      root_(std::filesystem::temp_directory_path() /
            ("bundle-closure-" + to_hex(random_bytes(12)))) {
  fs_.create_directories(root_);
}

ScratchTree::~ScratchTree() {
  try {
    fs_.remove_all(root_);
  } catch (const std::exception&) {  // a temporary folder is left over; the check is not wrong
  }
}

void ScratchTree::clear(const Path& below) const {
  fs_.remove_all(root_ / below);
  fs_.create_directories(root_ / below);
}

void ScratchTree::write(const oci::TextTree& tree, const Path& below) const {
  for (const auto& [path, text] : tree) {
    const Path file = root_ / below / path;
    fs_.create_directories(file.parent_path());
    fs_.open_writable(file)->write(as_bytes(text));
  }
}

oci::TextTree render_chart(const std::string& helm, const ScratchTree& scratch,
                           const std::string& chart, const std::string& k8s_version,
                           const std::vector<Path>& values, const Cancel& cancel) {
  const Path out = scratch.root() / "rendered";
  // Warnings go to the same place as what is rendered, but for an output folder.
  std::vector<std::string> arguments = {helm,
                                        "template",
                                        "closure",
                                        (scratch.root() / "chart" / chart).string(),
                                        "--include-crds",
                                        "--kube-version",
                                        k8s_version,
                                        "--output-dir",
                                        out.string()};
  for (const Path& file : values) {
    arguments.emplace_back("--values");
    arguments.push_back(file.string());
  }
  scratch.clear("rendered");
  run(scratch.root(), std::move(arguments), cancel);
  return oci::read_folder_tree(scratch.file_system(), out);
}

std::string render_folder(const std::string& kustomize, const ScratchTree& scratch,
                          const Path& folder, const Cancel& cancel) {
  const Path out = scratch.root() / "built.yaml";
  run(scratch.root(),
      {kustomize, "build", "--load-restrictor", "LoadRestrictionsNone", "--output", out.string(),
       (scratch.root() / folder).string()},
      cancel);
  return read_text_file(scratch.file_system(), out, flux::kMaxManifestText);
}

}  // namespace bundle::spec
