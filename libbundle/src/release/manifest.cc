#include "release/manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <set>
#include <utility>

#include "bundle/error.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "io/safe_path.h"
#include "oci/reference.h"
#include "release/version.h"

namespace bundle::release {
namespace {

using codec::Json;

constexpr std::string_view kApiVersion = "bundle/v1";
constexpr std::string_view kKind = "ReleaseManifest";
constexpr std::size_t kMaxDepth = 16;  // the schema's deepest value lies at level 6
constexpr std::string_view kHint =
    "The manifest was damaged or written by another tool. Get the release again from where it was "
    "made.";

// --- writing ---

Json to_json(const std::vector<std::string>& texts) {
  Json out = Json::array();
  for (const std::string& text : texts) out.push_back(text);
  return out;
}

void set_unless_empty(Json& object, const char* key, const std::string& value) {
  if (!value.empty()) object.set(key, value);
}

void set_descriptor(Json& object, const oci::Descriptor& descriptor) {
  object.set("mediaType", descriptor.media_type)
      .set("digest", descriptor.digest.text())
      .set("size", descriptor.size);
  set_unless_empty(object, "artifactType", descriptor.artifact_type);
}

Json to_json(const Artifact& artifact) {
  Json out = Json::object();
  out.set("name", artifact.name).set("repository", artifact.repository);
  set_unless_empty(out, "tag", artifact.tag);
  set_descriptor(out, artifact.descriptor);
  if (artifact.referrers.empty()) return out;
  Json referrers = Json::array();
  for (const Referrer& referrer : artifact.referrers) {
    Json entry = Json::object();
    entry.set("subject", referrer.subject.text());
    set_unless_empty(entry, "tag", referrer.tag);
    set_descriptor(entry, referrer.descriptor);
    referrers.push_back(std::move(entry));
  }
  out.set("referrers", std::move(referrers));
  return out;
}

Json image_to_json(const Artifact& image) {
  Json out = to_json(image);
  out.set("registry", image.registry);
  Json platforms = Json::array();
  for (const oci::Platform& platform : image.platforms) platforms.push_back(platform.text());
  out.set("platforms", std::move(platforms));
  return out;
}

Json to_json(const std::vector<FileArtifact>& files) {
  Json out = Json::array();
  for (const FileArtifact& file : files) {
    Json entry = Json::object();
    entry.set("name", file.name)
        .set("mode", fmt::format("{:04o}", file.mode))
        .set("size", file.size)
        .set("sha256", file.content.hex())
        .set("artifact", to_json(file.artifact));
    out.push_back(std::move(entry));
  }
  return out;
}

Json flux_to_json(const FluxArtifact& flux) {
  Json out = Json::object();
  out.set("profiles", to_json(flux.profiles))
      .set("installsFlux", flux.installs_flux)
      .set("artifact", to_json(flux.artifact));
  return out;
}

Json to_json(const Manifest& manifest) {
  Json os = Json::object();
  os.set("base", manifest.os_base).set("artifacts", to_json(manifest.os_artifacts));
  if (manifest.base_policy) os.set("basePolicy", to_json(*manifest.base_policy));
  Json k8s = Json::object();
  k8s.set("distribution", manifest.k8s_distribution)
      .set("version", manifest.k8s_version)
      .set("artifacts", to_json(manifest.k8s_artifacts));
  Json chart = Json::object();
  chart.set("name", manifest.chart.name)
      .set("version", manifest.chart.version)
      .set("artifact", to_json(manifest.chart.artifact));
  Json app = Json::object();
  app.set("chartPath", manifest.chart_path)
      .set("valuesProfile", manifest.values_profile)
      .set("chart", std::move(chart));
  Json images = Json::array();
  for (const Artifact& image : manifest.images) images.push_back(image_to_json(image));

  Json out = Json::object();
  out.set("apiVersion", kApiVersion)
      .set("kind", kKind)
      .set("minimumReader", std::uint64_t{manifest.minimum_reader})
      .set("product", manifest.product)
      .set("releaseVersion", manifest.version)
      .set("releaseNumber", manifest.release_number)
      .set("created", format_time(manifest.created))
      .set("upgradeFrom", to_json(manifest.upgrade_from))
      .set("os", std::move(os))
      .set("k8s", std::move(k8s))
      .set("app", std::move(app))
      .set("images", std::move(images))
      .set("files", to_json(manifest.files));
  if (manifest.flux) out.set("flux", flux_to_json(*manifest.flux));
  if (manifest.release_index) out.set("releaseIndex", to_json(*manifest.release_index));
  if (!manifest.gates.empty()) out.set("gates", to_json(manifest.gates));
  return out;
}

// --- reading ---

// Turns JSON that the schema has accepted into the model and checks what a schema cannot say.
class Reader {
 public:
  explicit Reader(std::string_view what) : what_(what) {}

  Manifest read(const Json& json) {
    Manifest out;
    out.product = json.at("product").as_string();
    out.version = json.at("releaseVersion").as_string();
    out.release_number = json.at("releaseNumber").as_size();
    out.created = read_time(json.at("created").as_string());
    out.minimum_reader = static_cast<std::uint32_t>(json.at("minimumReader").as_size());
    out.upgrade_from = read_upgrade_from(json.at("upgradeFrom"));
    if (!SemVer::parse(out.version)) fail("releaseVersion is no SemVer 2 version", out.version);

    const Json& os = json.at("os");
    out.os_base = os.at("base").as_string();
    if (const Json* policy = os.find("basePolicy")) {
      out.base_policy = read_base_policy(*policy);
      if (!out.base_policy) fail("os.basePolicy.built is no time", "");
    }
    out.os_artifacts = read_files(os.at("artifacts"));

    const Json& k8s = json.at("k8s");
    out.k8s_distribution = k8s.at("distribution").as_string();
    out.k8s_version = k8s.at("version").as_string();
    out.k8s_artifacts = read_files(k8s.at("artifacts"));
    if (!K3sVersion::parse(out.k8s_version)) fail("k8s.version is no k3s version", out.k8s_version);

    if (const Json* gates = json.find("gates")) out.gates = read_gates(*gates, out);

    const Json& app = json.at("app");
    out.chart_path = read_chart_path(app.at("chartPath").as_string());
    out.values_profile = app.at("valuesProfile").as_string();
    out.chart = read_chart(app.at("chart"));

    for (const Json& image : json.at("images").as_array()) out.images.push_back(read_image(image));
    out.files = read_files(json.at("files"));
    if (const Json* flux = json.find("flux")) out.flux = read_flux(*flux);
    if (const Json* index = json.find("releaseIndex")) {
      out.release_index = read_local_artifact(*index);
    }
    return out;
  }

 private:
  [[noreturn]] void fail(std::string_view reason, std::string_view value) const {
    throw Error(ErrorCode::manifest_invalid, fmt::format("{}: {}: '{}'", what_, reason, value),
                std::string(kHint));
  }

  void claim(std::set<std::string>& names, const std::string& name) const {
    if (names.insert(name).second) return;
    throw Error(ErrorCode::name_collision,
                fmt::format("{}: two artifacts have the name '{}'", what_, name),
                std::string(kHint));
  }

  UnixTime read_time(const std::string& text) const {
    const auto time = parse_time(text);
    if (!time) fail("created is no time", text);
    return *time;
  }

  std::string read_chart_path(const std::string& text) const {
    const std::string_view path = text.ends_with('/')
                                      ? std::string_view(text).substr(0, text.size() - 1)
                                      : std::string_view(text);
    if (!is_safe_relative_path(path)) fail("app.chartPath leaves its directory", text);
    return text;
  }

  std::vector<std::string> read_upgrade_from(const Json& json) const {
    std::vector<std::string> out;
    for (const Json& item : json.as_array()) {
      if (!VersionPattern::parse(item.as_string())) {
        fail("upgradeFrom has no version pattern", item.as_string());
      }
      out.push_back(item.as_string());
    }
    return out;
  }

  GateRules read_gates(const Json& gates, const Manifest& manifest) const {
    return read_gate_rules(gates, manifest.version, manifest.k8s_version,
                           [&](const std::string& pointer, const std::string& message) {
                             fail(message, "/gates" + pointer);
                           });
  }

  static oci::Descriptor read_descriptor(const Json& json) {
    oci::Descriptor out;
    out.media_type = json.at("mediaType").as_string();
    out.digest = Digest::parse(json.at("digest").as_string());
    out.size = json.at("size").as_size();
    out.artifact_type = json.string_or("artifactType", "");
    return out;
  }

  Artifact read_artifact(const Json& json) {
    Artifact out;
    out.name = json.at("name").as_string();
    out.registry = json.string_or("registry", "");
    out.repository = json.at("repository").as_string();
    out.tag = json.string_or("tag", "");
    out.descriptor = read_descriptor(json);
    if (!oci::is_index_type(out.descriptor.media_type) &&
        !oci::is_manifest_type(out.descriptor.media_type)) {
      fail("an artifact is neither a manifest nor an index", out.name);
    }
    if (const Json* referrers = json.find("referrers")) {
      for (const Json& referrer : referrers->as_array()) {
        out.referrers.push_back({read_descriptor(referrer),
                                 Digest::parse(referrer.at("subject").as_string()),
                                 referrer.string_or("tag", "")});
      }
    }
    claim(names_, out.name);
    return out;
  }

  Artifact read_image(const Json& json) {
    Artifact out = read_artifact(json);
    check_image_name(out);
    for (const Json& platform : json.at("platforms").as_array()) {
      out.platforms.push_back(oci::Platform::parse(platform.as_string()));
    }
    return out;
  }

  void check_image_name(const Artifact& image) const {
    oci::ImageName name;
    try {
      name = oci::ImageName::parse(image.name);
    } catch (const Error& error) {
      fail(error.message(), image.name);
    }
    const bool pinned_elsewhere = name.digest && *name.digest != image.descriptor.digest;
    if (pinned_elsewhere || name.registry != image.registry ||
        name.repository != image.repository || name.tag != image.tag) {
      fail("an image's name contradicts its registry, repository, tag or digest", image.name);
    }
  }

  // Artifacts that live at the site: "repository:tag".
  Artifact read_local_artifact(const Json& json) {
    Artifact out = read_artifact(json);
    if (out.name != out.repository + ":" + out.tag) {
      fail("an artifact's name contradicts its repository or tag", out.name);
    }
    return out;
  }

  ChartArtifact read_chart(const Json& json) {
    return {json.at("name").as_string(), json.at("version").as_string(),
            read_local_artifact(json.at("artifact"))};
  }

  FluxArtifact read_flux(const Json& json) {
    FluxArtifact out;
    for (const Json& profile : json.at("profiles").as_array()) {
      out.profiles.push_back(profile.as_string());
    }
    out.installs_flux = json.at("installsFlux").as_bool();
    out.artifact = read_local_artifact(json.at("artifact"));
    return out;
  }

  std::vector<FileArtifact> read_files(const Json& json) {
    std::vector<FileArtifact> out;
    for (const Json& entry : json.as_array()) {
      FileArtifact file;
      file.name = entry.at("name").as_string();
      const std::string& mode = entry.at("mode").as_string();
      std::from_chars(mode.data(), mode.data() + mode.size(), file.mode, 8);
      file.size = entry.at("size").as_size();
      file.content = Digest::parse("sha256:" + entry.at("sha256").as_string());
      file.artifact = read_local_artifact(entry.at("artifact"));
      claim(file_names_, file.name);
      out.push_back(std::move(file));
    }
    return out;
  }

  std::string_view what_;
  std::set<std::string> names_;
  std::set<std::string> file_names_;
};

// Before the schema: a manifest for newer readers may have members that ours does not know.
void require_supported(const Json& json, std::string_view what) {
  const Json* minimum = json.find("minimumReader");
  if (minimum != nullptr && minimum->is_int() && minimum->as_int() > Manifest::kReaderVersion) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{} needs a reader of version {}, this one has version {}", what,
                            minimum->as_int(), Manifest::kReaderVersion),
                "Install the newer tools that came with the release, then try again.");
  }
}

}  // namespace

std::vector<const Artifact*> Manifest::artifacts() const {
  std::vector<const Artifact*> out;
  for (const Artifact& image : images) out.push_back(&image);
  out.push_back(&chart.artifact);
  if (flux) out.push_back(&flux->artifact);
  for (const auto* group : {&os_artifacts, &k8s_artifacts, &files}) {
    for (const FileArtifact& file : *group) out.push_back(&file.artifact);
  }
  if (release_index) out.push_back(&*release_index);
  return out;
}

const Artifact* Manifest::find_artifact(std::string_view name) const {
  for (const Artifact* artifact : artifacts()) {
    if (artifact->name == name) return artifact;
  }
  return nullptr;
}

Artifact* Manifest::find_artifact(std::string_view name) {
  // The artifacts are members of this object, which is not constant here.
  return const_cast<Artifact*>(std::as_const(*this).find_artifact(name));
}

const FileArtifact* Manifest::find_file(std::string_view name) const {
  for (const auto* group : {&os_artifacts, &k8s_artifacts, &files}) {
    for (const FileArtifact& file : *group) {
      if (file.name == name) return &file;
    }
  }
  return nullptr;
}

std::string write_manifest(const Manifest& manifest) {
  return codec::canonical_json(to_json(manifest)) + "\n";
}

Manifest parse_manifest(std::string_view text, std::string_view what) {
  const Json json = codec::parse_json(text, what, {kMaxManifestBytes, kMaxDepth});
  require_supported(json, what);
  const auto violations = codec::Schema::builtin("release-manifest").check(json);
  if (!violations.empty()) {
    throw Error(ErrorCode::manifest_invalid,
                fmt::format("{}: {}", what, codec::describe(violations)), std::string(kHint));
  }
  if (codec::canonical_json(json) + "\n" != text) {
    throw Error(ErrorCode::manifest_invalid, fmt::format("{} is not in canonical form", what),
                std::string(kHint));
  }
  return Reader(what).read(json);
}

}  // namespace bundle::release
