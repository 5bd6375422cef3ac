#include "spec/spec.h"

#include <gtest/gtest.h>

#include "bundle/error.h"
#include "release/release_samples.h"
#include "support/expect_error.h"

namespace bundle::spec {
namespace {

constexpr std::string_view kFull = R"(apiVersion: bundle/v1
kind: Release
releaseVersion: 1.4.0
product: example-appliance
upgradeFrom: ["1.3.x"]
os: {base: ubuntu-24.04, artifacts: [{name: appliance.qcow2, path: os/appliance.qcow2}]}
k8s:
  distribution: k3s
  version: v1.31.6+k3s1
  artifacts:
    - {name: k3s, path: k3s/k3s, mode: "0755"}
    - {name: k3s-airgap-images-amd64.tar.zst, path: k3s/images.tar.zst}
app: {chartPath: helm/, valuesProfile: single-node}
images:
  - {name: "registry.example.com/app/server:1.4.0", source: "oci:images:app/server:1.4.0"}
  - {name: "docker.io/library/redis:7.2", source: "docker://docker.io/library/redis:7.2", platforms: [linux/arm64]}
files: [{name: install.sh, path: k3s/install.sh, mode: "0755"}]
)";

class Spec : public ::testing::Test {
 protected:
  Spec() {
    for (const std::string file : {"os/appliance.qcow2", "k3s/k3s", "k3s/images.tar.zst",
                                   "k3s/install.sh", "helm/Chart.yaml", "images/oci-layout"}) {
      folder_.write(file, "content");
    }
  }

  ReleaseSpec load(const std::string& yaml) {
    return load_spec(posix_file_system(), folder_.write("release.yaml", yaml));
  }

  // The full specification with one line replaced; the line must be there.
  static std::string with(std::string_view line, std::string_view replacement) {
    std::string text(kFull);
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << line;
    return text.replace(at, line.size(), replacement);
  }

  void expect_error(const std::string& yaml, ErrorCode code,
                    const std::vector<std::string>& fragments) {
    try {
      load(yaml);
      ADD_FAILURE() << "accepted:\n" << yaml;
    } catch (const Error& error) {
      EXPECT_EQ(error_name(error.code()), error_name(code)) << error.message();
      EXPECT_FALSE(error.hint().empty());
      for (const std::string& fragment : fragments) {
        EXPECT_NE(error.message().find(fragment), std::string::npos)
            << "no '" << fragment << "' in:\n"
            << error.message();
      }
    }
  }

  release::ScratchFolder folder_;
};

TEST_F(Spec, ReadsEverything) {
  const ReleaseSpec spec = load(std::string(kFull));
  EXPECT_EQ(spec.product, "example-appliance");
  EXPECT_EQ(spec.version, "1.4.0");
  EXPECT_EQ(spec.release_number, 1000400009000U);
  EXPECT_EQ(spec.upgrade_from, (std::vector<std::string>{"1.3.x"}));
  ASSERT_EQ(spec.platforms.size(), 1U);
  EXPECT_EQ(spec.platforms[0].text(), "linux/amd64");
  EXPECT_FALSE(spec.expires);
  EXPECT_FALSE(spec.expires_days);
  EXPECT_EQ(spec.os_base, "ubuntu-24.04");
  ASSERT_EQ(spec.os_artifacts.size(), 1U);
  EXPECT_EQ(spec.os_artifacts[0].path, folder_.path() / "os/appliance.qcow2");
  EXPECT_EQ(spec.os_artifacts[0].mode, 0644U);
  ASSERT_EQ(spec.k8s_artifacts.size(), 2U);
  EXPECT_EQ(spec.k8s_artifacts[0].mode, 0755U);
  EXPECT_EQ(spec.k8s_version, "v1.31.6+k3s1");
  EXPECT_EQ(spec.chart_path, "helm/");
  EXPECT_EQ(spec.chart, folder_.path() / "helm");
  EXPECT_EQ(spec.values_profile, "single-node");
  ASSERT_EQ(spec.images.size(), 2U);
  EXPECT_EQ(spec.images[0].source, "oci:images:app/server:1.4.0");
  EXPECT_EQ(spec.images[0].platforms[0].text(), "linux/amd64");
  EXPECT_EQ(spec.images[1].platforms[0].text(), "linux/arm64");
  ASSERT_EQ(spec.files.size(), 1U);
  EXPECT_EQ(spec.folder(), folder_.path());
}

TEST_F(Spec, ReadsOptionalKeys) {
  const ReleaseSpec spec = load(std::string(kFull) +
                                "platforms: [linux/amd64, linux/arm64/v8]\n"
                                "releaseNumber: 42\nexpires: 2027-11-23T15:00:00Z\n");
  EXPECT_EQ(spec.release_number, 42U);
  EXPECT_EQ(format_time(spec.expires.value_or(0)), "2027-11-23T15:00:00Z");
  EXPECT_EQ(spec.images[0].platforms.size(), 2U);
  EXPECT_EQ(spec.images[1].platforms.size(), 1U);
  EXPECT_EQ(load(std::string(kFull) + "expiresDays: 30\n").expires_days, 30U);
}

TEST_F(Spec, ReadsGates) {
  const ReleaseSpec spec = load(std::string(kFull) +
                                "gates:\n"
                                "  supportWindow: 3\n"
                                "  requiredReleases: [1.3.4]\n"
                                "  compatibility: [{app: 1.4.x, k8s: [1.31.x]}]\n"
                                "  platforms: [linux/amd64]\n"
                                "  diskFree: 20GiB\n"
                                "  backup: true\n"
                                "  maintenanceWindow: true\n");
  EXPECT_EQ(spec.gates.support_window, 3U);
  EXPECT_EQ(spec.gates.required_releases, std::vector<std::string>{"1.3.4"});
  EXPECT_EQ(spec.gates.compatibility.at(0).app, "1.4.x");
  EXPECT_EQ(spec.gates.platforms, std::vector<std::string>{"linux/amd64"});
  EXPECT_EQ(spec.gates.disk_free, 20ULL << 30);
  EXPECT_TRUE(spec.gates.backup);
  EXPECT_TRUE(spec.gates.maintenance_window);
  EXPECT_TRUE(load(std::string(kFull)).gates.empty());
}

TEST_F(Spec, ReadsTheAgeOfTheBase) {
  const std::string line = "os: {base: ubuntu-24.04, ";
  const auto policy = [&](const std::string& text) { return with(line, line + text); };
  const ReleaseSpec spec =
      load(policy("basePolicy: {built: 2026-11-20T00:00:00Z, maxAgeDays: 30}, "));
  ASSERT_TRUE(spec.base_policy);
  EXPECT_EQ(format_time(spec.base_policy->built), "2026-11-20T00:00:00Z");
  EXPECT_EQ(spec.base_policy->max_age_days, 30U);
  EXPECT_FALSE(load(std::string(kFull)).base_policy);
  expect_error(policy("basePolicy: {built: 2026-02-30T00:00:00Z, maxAgeDays: 30}, "),
               ErrorCode::spec_invalid, {"release.yaml:6:", "no such day"});
  expect_error(policy("basePolicy: {built: 2026-11-20T00:00:00Z}, "), ErrorCode::spec_invalid,
               {"maxAgeDays"});
}

TEST_F(Spec, ReadsTheMatrixFromAFileThatReleasesShare) {
  const std::string head = "apiVersion: bundle/v1\nkind: CompatibilityMatrix\nproduct: ";
  const std::string gates = "gates: {backup: true, compatibilityPath: matrix.yaml}\n";
  folder_.write("matrix.yaml", head + "example-appliance\nrows:\n- {app: 1.4.x, k8s: [1.31.x]}\n");
  const ReleaseSpec spec = load(std::string(kFull) + gates);
  ASSERT_EQ(spec.gates.compatibility.size(), 1U);
  EXPECT_EQ(spec.gates.compatibility[0].app, "1.4.x");
  EXPECT_TRUE(spec.gates.backup);

  folder_.write("matrix.yaml", head + "example-appliance\nrows:\n- {app: 1.4.x, k8s: [latest]}\n");
  expect_error(std::string(kFull) + gates, ErrorCode::spec_invalid,
               {"matrix.yaml:5:", "'latest' is no version"});
  folder_.write("matrix.yaml", head + "example-appliance\nrows:\n- {app: 1.4.x, k8s: [1.30.x]}\n");
  expect_error(std::string(kFull) + gates, ErrorCode::spec_invalid,
               {"matrix.yaml:4:", "no row lets this release"});
  folder_.write("matrix.yaml", head + "another\nrows:\n- {app: 1.4.x, k8s: [1.31.x]}\n");
  expect_error(std::string(kFull) + gates, ErrorCode::spec_invalid,
               {"matrix.yaml:3:", "the matrix of another"});
  folder_.write("matrix.yaml", head + "example-appliance\nrow: []\n");
  expect_error(std::string(kFull) + gates, ErrorCode::spec_invalid, {"matrix.yaml:4:", "'rows'"});
  expect_error(std::string(kFull) + "gates: {compatibilityPath: ../matrix.yaml}\n",
               ErrorCode::unsafe_path, {"leaves the folder"});
  expect_error(std::string(kFull) + "gates: {compatibilityPath: absent.yaml}\n",
               ErrorCode::not_found, {"absent.yaml"});
  folder_.write("matrix.yaml", head + "example-appliance\nrows:\n- {app: 1.4.x, k8s: [1.31.x]}\n");
  expect_error(std::string(kFull) + "gates: {compatibilityPath: matrix.yaml, compatibility: []}\n",
               ErrorCode::spec_invalid, {"not both"});
}

TEST_F(Spec, ReadsTheGatesOfItsDocument) {
  const std::string document = read_text_file(
      posix_file_system(), Path(BUNDLE_SOURCE_DIR) / "docs/release-spec.md", 1 << 20);
  const std::size_t begin = document.find("gates:\n  supportWindow");
  ASSERT_NE(begin, std::string::npos);
  const std::string sample = document.substr(begin, document.find("```", begin) - begin);
  EXPECT_EQ(load(std::string(kFull) + sample).gates.compatibility.size(), 2U);
}

TEST_F(Spec, NamesTheLineOfEveryWrongGate) {
  expect_error(std::string(kFull) + "gates:\n  backups: true\n", ErrorCode::spec_invalid,
               {"release.yaml:19:3: unknown key 'backups': did you mean 'backup'?"});
  expect_error(std::string(kFull) +
                   "gates:\n  requiredReleases: [1.4.0]\n"
                   "  compatibility:\n  - {app: ^1, k8s: [1.30.x]}\n",
               ErrorCode::spec_invalid,
               {"release.yaml:19:22: 1.4.0 is not older than this release",
                "release.yaml:21:6: '^1' is no version",
                "release.yaml:20:3: no row lets this release (1.4.0) run on its own Kubernetes"});
}

TEST_F(Spec, TakesAPackedChart) {
  folder_.write("app-1.4.0.tgz", "not looked into here");
  EXPECT_EQ(load(with("helm/", "app-1.4.0.tgz")).chart, folder_.path() / "app-1.4.0.tgz");
}

TEST_F(Spec, NamesTheLineOfEveryUnknownKey) {
  expect_error(std::string(kFull) + "imagse: []\nvolumes: 3\n", ErrorCode::spec_invalid,
               {"release.yaml:18:1: unknown key 'imagse': did you mean 'images'?",
                "release.yaml:19:1: unknown key 'volumes': known here are apiVersion"});
  expect_error(with("mode: \"0755\"}\n    -", "mdoe: \"0755\"}\n    -"), ErrorCode::spec_invalid,
               {"release.yaml:11:34: unknown key 'mdoe': did you mean 'mode'?"});
  expect_error(with("valuesProfile", "valueProfile"), ErrorCode::spec_invalid,
               {"release.yaml:13:25: unknown key 'valueProfile': did you mean 'valuesProfile'?",
                "release.yaml:13:1", "Missing required property 'valuesProfile'"});
}

TEST_F(Spec, NamesTheLineOfEveryWrongValue) {
  expect_error(
      with("1.4.0\n", "1.4\n"), ErrorCode::spec_invalid,
      {"release.yaml:3:1: releaseVersion: must be text, and is a number (write it in quotes)"});
  expect_error(with("mode: \"0755\"}\n    -", "mode: 0755}\n    -"), ErrorCode::spec_invalid,
               {"release.yaml:11:34: k8s/artifacts/0/mode: must be text", "in quotes"});
  expect_error(with("bundle/v1", "bundle/v2"), ErrorCode::spec_invalid, {":1:1:", "bundle/v1"});
  expect_error(with("v1.31.6+k3s1", "v1.31.6"), ErrorCode::spec_invalid,
               {":9:3:", "is not a k3s version like v1.31.6+k3s1"});
  expect_error(with("example-appliance", "Example_Appliance"), ErrorCode::spec_invalid,
               {":4:1:", "is not a product name"});
  expect_error(with("kind: Release", "kind: Release\nkind: Release"), ErrorCode::spec_invalid,
               {":3:1:", "already given in line 2"});
  expect_error(with("images:\n", "images: [\n"), ErrorCode::spec_invalid, {"malformed YAML"});
  expect_error("", ErrorCode::spec_invalid, {"empty"});
  expect_error("- a\n", ErrorCode::spec_invalid, {"must be a mapping, and is a list"});
}

TEST_F(Spec, ChecksWhatASchemaCannot) {
  expect_error(with("1.4.0\n", "1.4.0.0\n"), ErrorCode::spec_invalid,
               {":3:1:", "'1.4.0.0' is not a SemVer 2 version"});
  expect_error(with("1.4.0\n", "1.4.0-nightly\n"), ErrorCode::spec_invalid,
               {":3:1:", "add the key releaseNumber"});
  expect_error(with("1.3.x", "^1.3"), ErrorCode::spec_invalid, {":5:15:", "'^1.3' is no version"});
  expect_error(with("v1.31.6+k3s1", "v1.031.6+k3s1"), ErrorCode::spec_invalid, {":9:3:"});
  expect_error(std::string(kFull) + "expires: 2027-02-30T00:00:00Z\n", ErrorCode::spec_invalid,
               {":18:1:", "no such day"});
  expect_error(std::string(kFull) + "expires: 2027-02-03T00:00:00Z\nexpiresDays: 3\n",
               ErrorCode::spec_invalid, {":19:1:", "not both"});
  expect_error(with("docker://docker.io", "docker:docker.io"), ErrorCode::spec_invalid,
               {":16:", "docker://HOST/NAME"});
  expect_error(with("oci:images:app/server:1.4.0", "oci::x"), ErrorCode::spec_invalid,
               {":15:", "names no path"});
}

TEST_F(Spec, WantsCompleteImageNames) {
  for (const std::string_view name :
       {"redis:7.2", "library/redis:7.2", "docker.io/library/redis", "docker.io/Library/redis:7.2",
        "docker.io/library/redis:7+2", "docker.io/library/redis@sha256:12", "docker.io/../redis:1",
        "https://docker.io/library/redis:7.2", "docker.io/library/redis: 7"}) {
    expect_error(with("docker.io/library/redis:7.2", name), ErrorCode::spec_invalid, {":16:6:"});
  }
}

TEST_F(Spec, CollectsAllFindingsOfOneKind) {
  std::string text = with("1.3.x", "^1.3");
  text.replace(text.find("1.4.0\n"), 5, "1.4.x");
  expect_error(text, ErrorCode::spec_invalid, {":3:1:", ":5:15:"});
}

TEST_F(Spec, ListsAllMissingPartsAtOnce) {
  std::filesystem::remove(folder_.path() / "os/appliance.qcow2");
  std::filesystem::remove_all(folder_.path() / "k3s");
  std::filesystem::remove_all(folder_.path() / "helm");
  std::filesystem::remove_all(folder_.path() / "images");
  expect_error(std::string(kFull), ErrorCode::not_found,
               {":6:", "os/appliance.qcow2 does not exist", ":11:", ":12:", ":13:",
                "/helm does not", ":15:", "/images does not exist", ":17:"});
}

TEST_F(Spec, RefusesPathsThatLeaveTheFolder) {
  for (const std::string_view path : {"../k3s", "/etc/passwd", "k3s/../../x", "./k3s/install.sh",
                                      "k3s//install.sh", "k3s/", "k3s\\install.sh", "..", "."}) {
    expect_error(with("path: k3s/install.sh", "path: '" + std::string(path) + "'"),
                 ErrorCode::unsafe_path, {":17:", std::string(path)});
  }
  expect_error(with("helm/", "../helm/"), ErrorCode::unsafe_path, {":13:"});
  expect_error(with("helm/", "/"), ErrorCode::unsafe_path, {":13:"});
}

TEST_F(Spec, RefusesSymbolicLinksAnywhereInAPath) {
  std::filesystem::create_symlink("/etc/hostname", folder_.path() / "k3s/link");
  std::filesystem::create_directory_symlink(folder_.path() / "os", folder_.path() / "os-link");
  expect_error(with("k3s/install.sh", "k3s/link"), ErrorCode::unsafe_path,
               {":17:", "symbolic link"});
  expect_error(with("os/appliance.qcow2", "os-link/appliance.qcow2"), ErrorCode::unsafe_path,
               {":6:", "symbolic link"});
}

TEST_F(Spec, WantsPlainFilesForFiles) {
  expect_error(with("path: k3s/install.sh", "path: k3s"), ErrorCode::spec_invalid,
               {":17:", "is not a plain file"});
}

TEST_F(Spec, RefusesEqualNames) {
  expect_error(with("docker.io/library/redis:7.2\", source",
                    "registry.example.com/app/server:1.4.0\", source"),
               ErrorCode::name_collision, {":16:6:", "the entry of line 15"});
  expect_error(with("name: install.sh", "name: k3s"), ErrorCode::name_collision,
               {":17:", "the entry of line 11", "example-appliance/files/k3s"});
  // Different for people, but one repository in the registry.
  expect_error(with("name: install.sh", "name: K3S"), ErrorCode::name_collision,
               {":17:", "line 11"});
}

TEST_F(Spec, RefusesAnOversizedOrMissingFile) {
  EXPECT_THROW(load_spec(posix_file_system(), folder_.path() / "none.yaml"), Error);
  const auto error = bundle::testing::error_of([&] { load(std::string(kMaxSpecBytes + 1, '#')); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::limit);
}

}  // namespace
}  // namespace bundle::spec
