#include "spec/closure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "bundle/error.h"
#include "codec/json_pointer.h"
#include "flux/chart_values.h"
#include "flux/manifest_text.h"
#include "flux/release_images.h"
#include "io/process.h"
#include "spec/closure_render.h"
#include "spec/flux_state.h"

namespace bundle::spec {
namespace {

using codec::Json;
using Form = flux::ImageReference::Form;

bool is_template(std::string_view path) {
  return path.find("/templates/") != std::string_view::npos;
}
bool is_crd(std::string_view path) {
  return path.find("/crds/") != std::string_view::npos && flux::is_yaml_file(path);
}

// The line, counted from 1, on which `needle` stands, not before line `first`; `first` if nowhere.
std::size_t line_of(std::string_view text, std::string_view needle, std::size_t first) {
  std::size_t line = 1;
  std::size_t at = 0;
  for (; line < first && at < text.size(); ++line) at = text.find('\n', at) + 1;
  const std::size_t found = text.find(needle, at);
  if (found == std::string_view::npos) return first;
  return line + static_cast<std::size_t>(
                    std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                               text.begin() + static_cast<std::ptrdiff_t>(found), '\n'));
}

// What the chart is given besides values.yaml; the last word is the HelmRelease's own.
struct ValueLayers {
  std::vector<std::string> texts;  // YAML
  Json merged;                     // over the chart's own
};

class Checker {
 public:
  Checker(FileSystem& fs, const ReleaseSpec& spec, const ResolvedRelease& release,
          const Renderers& renderers, const Cancel& cancel)
      : fs_(fs),
        spec_(spec),
        state_(*release.desired_state),
        manifest_(release.manifest),
        renderers_(renderers),
        cancel_(cancel) {
    for (const release::Artifact& image : release.manifest.images) images_.add(image);
    images_.add_local(release.manifest.chart.artifact);
    for (const BlobInput& blob : release.blobs) {
      if (oci::is_document_type(blob.media_type)) images_.add_document(blob.digest);
    }
  }

  ClosureReport check() {
    for (const auto& [path, text] : state_.files) {
      if (flux::is_yaml_file(path)) check_manifests(text, state_place(path), state_place(path));
    }
    if (renderers_.kustomize.empty()) {
      note(
          "kustomize is not on this machine: the files of the desired state were searched one by "
          "one, and what patches and generators make of them was not looked at");
    } else {
      check_built_folders();
    }
    check_chart();
    std::ranges::sort(report_.leaks, {}, &ClosureFinding::place);
    return std::move(report_);
  }

 private:
  void note(std::string text) { report_.notes.push_back(std::move(text)); }

  // Where a file of the artifact comes from, as its author knows it.
  std::string state_place(const std::string& path) const {
    if (path == flux::kFluxInstallFile) return spec_.flux->install.string();
    return (spec_.flux->folder / path).string();
  }

  // --- one reference ---

  // Empty: it is in the release, by its digest.
  std::string problem_of(const flux::ImageReference& reference) const {
    if (reference.form == Form::outside) return "is a source outside of the release";
    if (reference.form == Form::source) return source_problem(reference);
    const bool known = images_.find(reference.text).has_value();
    if (known) return reference.pinned ? "" : "is in the release, but not asked for by its digest";
    return reference.pinned ? "has a digest that is not in the release" : "is not in the release";
  }

  std::string source_problem(const flux::ImageReference& reference) const {
    const std::size_t at = reference.text.rfind('@');
    if (!reference.pinned || at == std::string::npos) {
      return images_.find_source(reference.text, reference.tag)
                 ? "is in the release, but not asked for by its digest"
                 : "is a source that is not in the release";
    }
    const std::string digest = reference.text.substr(at + 1);
    const bool known = Digest::is_valid(digest) && images_.has_document(Digest::parse(digest));
    return known ? "" : "has a digest that is not in the release";
  }

  void judge(const flux::ImageReference& reference, const std::string& place,
             const std::string& file) {
    ++report_.references;
    const std::string problem = problem_of(reference);
    if (problem.empty()) return;
    ClosureFinding finding{place, reference.text, problem, ""};
    if (!seen_.insert({place, reference.text}).second) return;  // the same in another profile
    for (const ClosureException& exception : spec_.closure_exceptions) {
      if (!flux::matches_pattern(reference.text, exception.image)) continue;
      if (!exception.file.empty() && !flux::matches_pattern(file, "*" + exception.file)) continue;
      finding.reason = exception.reason;
      report_.excepted.push_back(std::move(finding));
      return;
    }
    report_.leaks.push_back(std::move(finding));
  }

  void check_document(const codec::YamlDocument& document, std::string_view text,
                      const std::string& place, const std::string& file) {
    for (const flux::ImageReference& reference :
         flux::find_image_references(document.root(), spec_.image_patterns)) {
      const std::size_t first = document.position(reference.pointer).line;
      const std::size_t line =
          reference.form == Form::token ? line_of(text, reference.text, first) : first;
      judge(reference, fmt::format("{}:{}", place, line), file);
    }
  }

  void check_manifests(std::string_view text, const std::string& place, const std::string& file) {
    for (const codec::YamlDocument& document : flux::parse_manifests(text, place)) {
      check_document(document, text, place, file);
    }
  }

  // --- the desired state, built ---

  void check_built_folders() {
    const ScratchTree scratch(fs_);
    scratch.write(state_.files, "state");
    for (const std::string& folder : built_folders()) {
      const std::string text =
          render_folder(renderers_.kustomize, scratch, Path("state") / folder, cancel_);
      const std::string place = fmt::format("kustomize build {}, line", state_place(folder));
      check_manifests(text, place, state_place(folder));
      report_.rendered.push_back("kustomize " + folder);
    }
  }

  // Every profile, and every path that a Kustomization of Flux names.
  std::set<std::string> built_folders() const {
    std::set<std::string> folders;
    for (const std::string& profile : spec_.flux->profiles) {
      folders.insert(fmt::format("{}{}", flux::kProfilesFolder, profile));
    }
    for_each_resource("kustomize.toolkit.fluxcd.io/", "Kustomization", [&](const Json& spec) {
      std::string path = spec.string_or("path", "");
      if (path.starts_with("./")) path.erase(0, 2);
      if (state_.files.contains(path + "/kustomization.yaml")) folders.insert(std::move(path));
    });
    return folders;
  }

  template <typename Use>
  void for_each_resource(std::string_view group, std::string_view kind, Use use) const {
    for (const auto& [path, text] : state_.files) {
      if (!flux::is_yaml_file(path)) continue;
      for (const codec::YamlDocument& document : flux::parse_manifests(text, path)) {
        const Json& root = document.root();
        const Json* spec = root.find("spec");
        if (spec != nullptr && root.string_or("apiVersion", "").starts_with(group) &&
            root.string_or("kind", "") == kind) {
          use(*spec);
        }
      }
    }
  }

  // --- the chart ---

  ValueLayers value_layers(const std::string& profile) const {
    const ProfileValues values =
        profile_values(fs_, spec_, profile, {state_.chart, state_.app_version, images_});
    ValueLayers layers;
    layers.merged = flux::chart_default_values(state_.chart);
    const auto add = [&](const std::string& text) {
      const auto documents = flux::parse_manifests(text, "values");
      if (documents.empty()) return;
      layers.texts.push_back(text);
      layers.merged = flux::merge_values(layers.merged, documents.front().root());
    };
    add(values.overlay);
    add(values.images);
    for_each_resource("helm.toolkit.fluxcd.io/", "HelmRelease", [&](const Json& spec) {
      if (const Json* own = spec.find("values")) add(codec::dump_json(*own));
    });
    return layers;
  }

  void check_chart() {
    if (renderers_.helm.empty()) return search_chart();
    const ScratchTree scratch(fs_);
    scratch.write(state_.chart, "chart");
    const std::string version = manifest_.k8s_version.substr(0, manifest_.k8s_version.find('+'));
    for (const std::string& profile : spec_.flux->profiles) {
      std::vector<Path> files;
      for (const std::string& text : value_layers(profile).texts) {
        const std::string name = fmt::format("{}-{}.yaml", profile, files.size());
        scratch.write({{name, text}}, "values");
        files.push_back(scratch.root() / "values" / name);
      }
      const oci::TextTree rendered =
          render_chart(renderers_.helm, scratch, manifest_.chart.name, version, files, cancel_);
      for (const auto& [path, text] : rendered) check_rendered(path, text, profile);
      report_.rendered.push_back("helm " + profile);
    }
  }

  // What a template gave. A literal is named where it stands in the template.
  void check_rendered(const std::string& path, const std::string& text,
                      const std::string& profile) {
    const auto source = state_.chart.find(path);
    for (const codec::YamlDocument& document : flux::parse_manifests(text, chart_place(path))) {
      for (const flux::ImageReference& reference :
           flux::find_image_references(document.root(), spec_.image_patterns)) {
        const std::size_t line = document.position(reference.pointer).line;
        const bool literal = source != state_.chart.end() &&
                             source->second.find(reference.text) != std::string::npos;
        judge(reference,
              literal ? fmt::format("{}:{}", chart_place(path),
                                    line_of(source->second, reference.text, 1))
                      : fmt::format("{} (line {} as helm renders it for {})", chart_place(path),
                                    line, profile),
              chart_place(path));
      }
    }
  }

  // "helm/templates/web.yaml" of "app/templates/web.yaml".
  std::string chart_place(const std::string& path) const {
    const std::size_t slash = path.find('/');
    return (spec_.chart / path.substr(slash == std::string::npos ? 0 : slash + 1)).string();
  }

  void search_chart() {
    std::size_t expressions = 0;
    for (const auto& [path, text] : state_.chart) {
      if (is_crd(path)) check_manifests(text, chart_place(path), chart_place(path));
      if (!is_template(path) || path.ends_with(".tpl") || path.ends_with(".txt")) continue;
      if (flux::is_yaml_file(path) && text.find("{{") == std::string::npos) {
        check_manifests(text, chart_place(path), chart_place(path));
      } else {
        expressions += search_template(path, text);
      }
    }
    for (const std::string& profile : spec_.flux->profiles) {
      const Json values = value_layers(profile).merged;
      for (flux::ImageReference reference :
           flux::find_image_references(values, spec_.image_patterns)) {
        complete(values, reference);
        judge(reference, fmt::format("values of {}, {}", profile, reference.pointer),
              chart_place("/values.yaml"));
      }
    }
    note(fmt::format(
        "helm is not on this machine: the chart's templates were searched as text and "
        "the values of each profile as they are; what {} expressions for images give was "
        "not rendered",
        expressions));
  }

  // A chart takes its own version for an empty tag.
  void complete(const Json& values, flux::ImageReference& reference) const {
    if (reference.form != Form::parts || reference.pinned) return;
    const Json* tag = codec::value_at(values, reference.pointer)->find("tag");
    if (tag != nullptr && tag->is_string() && tag->as_string().empty() &&
        !state_.app_version.empty()) {
      reference.text += ":" + state_.app_version;
    }
  }

  // Literals in the text of a template; returns how many images are expressions.
  std::size_t search_template(const std::string& path, std::string_view text) {
    std::size_t expressions = 0;
    std::size_t number = 0;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      ++number;
      if (is_image_expression(line)) ++expressions;
      // The line as the text of a manifest in a manifest, which has the same rules.
      Json document = Json::object();
      document.set("line", std::string(line) + "\n");
      for (const flux::ImageReference& reference :
           flux::find_image_references(document, spec_.image_patterns)) {
        judge(reference, fmt::format("{}:{}", chart_place(path), number), chart_place(path));
      }
    }
    return expressions;
  }

  static bool is_image_expression(std::string_view line) {
    const std::size_t key = line.find("mage:");
    return key != std::string_view::npos && line.find("{{", key) != std::string_view::npos;
  }

  FileSystem& fs_;
  const ReleaseSpec& spec_;
  const DesiredState& state_;
  const release::Manifest& manifest_;
  const Renderers& renderers_;
  const Cancel& cancel_;
  flux::ReleaseImages images_;
  std::set<std::pair<std::string, std::string>> seen_;  // place and image
  ClosureReport report_;
};

}  // namespace

Renderers Renderers::of_this_machine() {
  const auto path_of = [](const char* name) {
    const auto found = find_program(name);
    return found ? found->string() : std::string();
  };
  return {path_of("helm"), path_of("kustomize")};
}

ClosureReport check_closure(FileSystem& fs, const ReleaseSpec& spec, const ResolvedRelease& release,
                            const Renderers& renderers, const Cancel& cancel) {
  if (!release.desired_state) {
    ClosureReport report;
    report.notes.emplace_back(
        "the release has no desired state (flux): nothing was searched for images");
    return report;
  }
  return Checker(fs, spec, release, renderers, cancel).check();
}

void require_closed(const ClosureReport& report) {
  if (report.leaks.empty()) return;
  std::vector<std::string> lines;
  for (const ClosureFinding& leak : report.leaks) {
    lines.push_back(fmt::format("{}: {} {}", leak.place, leak.image, leak.problem));
  }
  throw Error(
      ErrorCode::spec_invalid, fmt::format("{}", fmt::join(lines, "\n")),
      "A site without a network could not pull these. Add the image to the release, take it "
      "out of the manifest, or declare it under closure.exceptions with the reason.");
}

}  // namespace bundle::spec
