#include "attest/spdx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "base/time.h"
#include "codec/json.h"
#include "codec/utf8.h"

namespace bundle::attest {
namespace {

using codec::Json;

// Without a version: the release is the same whichever bundle-make makes it.
constexpr std::string_view kCreator = "Tool: bundle-make";
constexpr std::string_view kDocument = "SPDXRef-DOCUMENT";
constexpr std::string_view kReleaseElement = "SPDXRef-Release";
constexpr std::size_t kIdDigits = 16;  // of a SHA-256: enough to tell elements of a document apart

// Text from an image, as a JSON string may hold it.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  if (codec::find_invalid_utf8(out)) {
    for (char& c : out) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
  }
  return out;
}

// "SPDXRef-<kind>-<readable part>-<digits>": SPDX allows letters, digits, "." and "-".
std::string spdx_id(std::string_view kind, std::string_view readable, std::string_view identity) {
  std::string name;
  for (const char c : readable.substr(0, 64)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' ? c : '-';
  }
  return fmt::format("SPDXRef-{}-{}-{}", kind, name,
                     sha256(as_bytes(identity)).hex().substr(0, kIdDigits));
}

Json purl_reference(const std::string& purl) {
  Json reference = Json::object();
  reference.set("referenceCategory", "PACKAGE-MANAGER")
      .set("referenceType", "purl")
      .set("referenceLocator", purl);
  Json list = Json::array();
  list.push_back(std::move(reference));
  return list;
}

Json sha256_checksum(const Digest& digest) {
  Json checksum = Json::object();
  checksum.set("algorithm", "SHA256").set("checksumValue", digest.hex());
  Json list = Json::array();
  list.push_back(std::move(checksum));
  return list;
}

Json element(const std::string& id, const std::string& name, const std::string& version) {
  Json out = Json::object();
  out.set("SPDXID", id)
      .set("name", name)
      .set("downloadLocation", "NOASSERTION")
      .set("filesAnalyzed", false)
      .set("licenseConcluded", "NOASSERTION")
      .set("licenseDeclared", "NOASSERTION")
      .set("copyrightText", "NOASSERTION");
  if (!version.empty()) out.set("versionInfo", version);
  return out;
}

// Packages of a distribution have its name in their URL.
bool is_of_system(const Package& package) {
  return package.type == "deb" || package.type == "apk" || package.type == "rpm";
}

// SPDX reads what stands in parentheses as a mail address.
std::string organization(std::string name) {
  std::ranges::replace(name, '(', '[');
  std::ranges::replace(name, ')', ']');
  return "Organization: " + name;
}

// An OCI artifact: what purl calls oci, found in a registry under its repository.
std::string oci_url(const std::string& registry, const std::string& repository,
                    const std::string& tag, const Digest& digest) {
  Package package = package_of_type("oci");
  package.name = repository.substr(repository.rfind('/') + 1);
  package.version = digest.text();
  if (!registry.empty()) package.qualifiers["repository_url"] = registry + "/" + repository;
  package.qualifiers["tag"] = tag;
  return package_url(package);
}

class Writer {
 public:
  explicit Writer(const SpdxSource& source) : source_(source), manifest_(source.manifest) {}

  std::string write() {
    add_release();
    for (const ImageInventory& image : source_.inventory.images) add_image(image);
    add_chart();
    add_system();
    add_kubernetes();
    for (const auto& file : manifest_.files) add_file(file, std::string(kReleaseElement));
    return document();
  }

 private:
  void add(const std::string& id, const Json& json) {
    elements_.try_emplace(id, codec::dump_json(json));
  }

  void relate(const std::string& from, std::string_view type, const std::string& to,
              const std::string& comment = {}) {
    Json out = Json::object();
    out.set("spdxElementId", from).set("relationshipType", type).set("relatedSpdxElement", to);
    if (!comment.empty()) out.set("comment", comment);
    relationships_.insert(codec::dump_json(out));
  }

  void annotate(Json& json, const std::vector<std::string>& problems) const {
    if (problems.empty()) return;
    Json list = Json::array();
    for (const std::string& problem : problems) {
      Json note = Json::object();
      note.set("annotationDate", format_time(manifest_.created))
          .set("annotationType", "OTHER")
          .set("annotator", kCreator)
          .set("comment", "packages may be missing: " + printable(problem));
      list.push_back(std::move(note));
    }
    json.set("annotations", std::move(list));
  }

  void add_release() {
    Json json = element(std::string(kReleaseElement), manifest_.product, manifest_.version);
    json.set("primaryPackagePurpose", "APPLICATION");
    if (manifest_.release_index) {
      const release::Artifact& index = *manifest_.release_index;
      json.set("checksums", sha256_checksum(index.descriptor.digest));
      json.set("externalRefs",
               purl_reference(oci_url({}, index.repository, index.tag, index.descriptor.digest)));
    }
    add(std::string(kReleaseElement), json);
    relate(std::string(kDocument), "DESCRIBES", std::string(kReleaseElement));
  }

  void add_found(const std::string& owner, const FoundPackage& found) {
    const Package& package = found.package;
    const std::string purl = package_url(package);
    const std::string name = package.space.empty() || is_of_system(package)
                                 ? package.name
                                 : package.space + "/" + package.name;
    const std::string id = spdx_id("Package-" + package.type, name, purl);
    Json json = element(id, name, package.version);
    json.set("externalRefs", purl_reference(purl));
    if (!package.supplier.empty()) json.set("supplier", organization(package.supplier));
    if (!package.source.empty()) json.set("sourceInfo", "built from " + package.source);
    // The words of the package, which are seldom an SPDX expression.
    if (!package.license.empty()) json.set("licenseComments", "as packaged: " + package.license);
    add(id, json);
    relate(owner, "CONTAINS", id, "found in " + printable(found.path));
  }

  void add_image(const ImageInventory& image) {
    const std::string digest = image.manifest.digest.text();
    const std::string id = spdx_id("Image", image.name, image.name + " " + digest);
    Json json = element(id, image.name, digest);
    json.set("primaryPackagePurpose", "CONTAINER")
        .set("checksums", sha256_checksum(image.manifest.digest))
        .set("externalRefs", purl_reference(oci_url(image.registry, image.repository, image.tag,
                                                    image.manifest.digest)));
    if (!image.platform.empty()) json.set("comment", "platform " + image.platform);
    annotate(json, image.problems);
    add(id, json);
    relate(std::string(kReleaseElement), "CONTAINS", id);
    for (const FoundPackage& found : image.packages) add_found(id, found);
  }

  void add_chart() {
    const release::ChartArtifact& chart = manifest_.chart;
    const oci::Descriptor& descriptor = chart.artifact.descriptor;
    const std::string id = spdx_id("Chart", chart.name, descriptor.digest.text());
    Json json = element(id, chart.name, chart.version);
    json.set("primaryPackagePurpose", "APPLICATION")
        .set("checksums", sha256_checksum(descriptor.digest))
        .set("externalRefs", purl_reference(oci_url({}, chart.artifact.repository,
                                                    chart.artifact.tag, descriptor.digest)));
    add(id, json);
    relate(std::string(kReleaseElement), "CONTAINS", id);
  }

  void add_system() {
    const std::string id = "SPDXRef-OperatingSystem";
    // "ubuntu-24.04"
    const std::size_t dash = manifest_.os_base.rfind('-');
    Package system;
    system.name = manifest_.os_base.substr(0, dash);
    if (dash != std::string::npos) system.version = manifest_.os_base.substr(dash + 1);
    Json json = element(id, system.name, system.version);
    json.set("primaryPackagePurpose", "OPERATING-SYSTEM");
    std::vector<std::string> problems;
    if (!source_.os_packages.problem.empty()) problems.push_back(source_.os_packages.problem);
    if (source_.os_packages.packages.empty() && !manifest_.os_artifacts.empty()) {
      problems.emplace_back(
          "the release file names no list of the system's packages (os.packages)");
    }
    annotate(json, problems);
    add(id, json);
    relate(std::string(kReleaseElement), "CONTAINS", id);
    for (const auto& file : manifest_.os_artifacts) add_file(file, id);
    for (Package package : source_.os_packages.packages) {
      package.space = system.name;
      package.qualifiers["distro"] = manifest_.os_base;
      add_found(id, {std::move(package), "os.packages"});
    }
  }

  void add_kubernetes() {
    const std::string id = "SPDXRef-Kubernetes";
    Package package = package_of_type("github");
    package.space = "k3s-io";
    package.name = manifest_.k8s_distribution;
    package.version = manifest_.k8s_version;
    Json json = element(id, manifest_.k8s_distribution, manifest_.k8s_version);
    json.set("externalRefs", purl_reference(package_url(package)));
    add(id, json);
    relate(std::string(kReleaseElement), "CONTAINS", id);
    for (const auto& file : manifest_.k8s_artifacts) add_file(file, id);
  }

  void add_file(const release::FileArtifact& file, const std::string& owner) {
    const std::string id = spdx_id("File", file.name, file.name + " " + file.content.text());
    Json json = element(id, file.name, {});
    json.set("primaryPackagePurpose", "FILE")
        .set("packageFileName", file.name)
        .set("checksums", sha256_checksum(file.content));
    add(id, json);
    relate(owner, "CONTAINS", id);
    const auto packages = source_.inventory.files.find(file.name);
    if (packages == source_.inventory.files.end()) return;
    for (const FoundPackage& found : packages->second) add_found(id, found);
  }

  std::string document() const {
    std::string packages;
    for (const auto& [id, json] : elements_) packages += (packages.empty() ? "" : ",\n") + json;
    std::string relationships;
    for (const std::string& json : relationships_) {
      relationships += (relationships.empty() ? "" : ",\n") + json;
    }
    Json creation = Json::object();
    Json creators = Json::array();
    creators.push_back(kCreator);
    creation.set("created", format_time(manifest_.created)).set("creators", std::move(creators));
    return fmt::format(
        "{{\"spdxVersion\":\"SPDX-2.3\",\"dataLicense\":\"CC0-1.0\",\"SPDXID\":\"{}\",\n"
        "\"name\":\"{}-{}\",\"documentNamespace\":\"{}\",\n\"creationInfo\":{},\n"
        "\"packages\":[\n{}\n],\n\"relationships\":[\n{}\n]}}\n",
        kDocument, manifest_.product, manifest_.version,
        document_namespace(packages, relationships), codec::dump_json(creation), packages,
        relationships);
  }

  // A URI that no other document has: a UUID (RFC 9562, version 8) made of the content's digest.
  static std::string document_namespace(std::string_view packages, std::string_view relationships) {
    Sha256 hash;
    hash.write(as_bytes(packages));
    hash.write(as_bytes(relationships));
    std::string hex = hash.finish().hex();
    hex[12] = '8';
    hex[16] = "89ab"[static_cast<std::size_t>(hex[16]) % 4];
    return fmt::format("urn:uuid:{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4),
                       hex.substr(12, 4), hex.substr(16, 4), hex.substr(20, 12));
  }

  const SpdxSource& source_;
  const release::Manifest& manifest_;
  std::map<std::string, std::string> elements_;  // by SPDX id
  std::set<std::string> relationships_;
};

}  // namespace

std::string write_spdx(const SpdxSource& source) {
  return Writer(source).write();
}

}  // namespace bundle::attest
