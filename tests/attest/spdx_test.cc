#include "attest/spdx.h"

#include <gtest/gtest.h>

#include <set>

#include "attest/provenance.h"
#include "attest/release_attestor.h"
#include "codec/json.h"
#include "codec/schema.h"
#include "oci/document.h"
#include "release/release_samples.h"

namespace bundle::attest {
namespace {

using codec::Json;

// The parts of SPDX 2.3 (clauses 6, 7, 11, 12) that a document of ours may use.
constexpr std::string_view kSchema = R"json({
  "type": "object", "additionalProperties": false,
  "required": ["spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "relationships"],
  "properties": {
    "spdxVersion": {"const": "SPDX-2.3"}, "dataLicense": {"const": "CC0-1.0"},
    "SPDXID": {"const": "SPDXRef-DOCUMENT"}, "name": {"type": "string", "minLength": 1},
    "documentNamespace": {"type": "string", "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
    "creationInfo": {"type": "object", "additionalProperties": false, "required": ["created", "creators"],
      "properties": {"created": {"$ref": "#/definitions/time"},
                     "creators": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^Tool: bundle-make$"}}}},
    "packages": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/package"}},
    "relationships": {"type": "array", "minItems": 1, "items": {
      "type": "object", "additionalProperties": false, "required": ["spdxElementId", "relatedSpdxElement", "relationshipType"],
      "properties": {"spdxElementId": {"$ref": "#/definitions/id"}, "relatedSpdxElement": {"$ref": "#/definitions/id"},
                     "relationshipType": {"enum": ["DESCRIBES", "CONTAINS"]}, "comment": {"type": "string"}}}}
  },
  "definitions": {
    "id": {"type": "string", "pattern": "^SPDXRef-[A-Za-z0-9.-]+$"},
    "time": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
    "package": {
      "type": "object", "additionalProperties": false, "required": ["SPDXID", "name", "downloadLocation"],
      "properties": {
        "SPDXID": {"$ref": "#/definitions/id"}, "name": {"type": "string", "minLength": 1},
        "versionInfo": {"type": "string"}, "packageFileName": {"type": "string"}, "comment": {"type": "string"},
        "downloadLocation": {"const": "NOASSERTION"}, "filesAnalyzed": {"const": false},
        "licenseConcluded": {"const": "NOASSERTION"}, "licenseDeclared": {"const": "NOASSERTION"},
        "copyrightText": {"const": "NOASSERTION"},
        "primaryPackagePurpose": {"enum": ["APPLICATION", "CONTAINER", "OPERATING-SYSTEM", "FILE"]},
        "checksums": {"type": "array", "items": {"type": "object", "required": ["algorithm", "checksumValue"],
          "properties": {"algorithm": {"const": "SHA256"}, "checksumValue": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}}},
        "externalRefs": {"type": "array", "items": {"type": "object", "additionalProperties": false,
          "required": ["referenceCategory", "referenceType", "referenceLocator"],
          "properties": {"referenceCategory": {"const": "PACKAGE-MANAGER"}, "referenceType": {"const": "purl"},
                         "referenceLocator": {"type": "string", "pattern": "^pkg:[a-z]+/[^ ]+$"}}}},
        "annotations": {"type": "array", "items": {"type": "object", "additionalProperties": false,
          "required": ["annotationDate", "annotationType", "annotator", "comment"],
          "properties": {"annotationDate": {"$ref": "#/definitions/time"}, "annotationType": {"const": "OTHER"},
                         "annotator": {"type": "string"}, "comment": {"type": "string"}}}}
      }
    }
  }
})json";

release::Manifest sample() {
  release::Manifest manifest = release::sample_manifest();
  manifest.release_index = release::sample_artifact("example-appliance/release", "1.4.0");
  return manifest;
}

Inventory inventory_with(const std::string& path, const std::string& problem) {
  Inventory inventory;
  ImageInventory image;
  image.name = "registry.example.com/app/server:1.4.0";
  image.registry = "registry.example.com";
  image.repository = "app/server";
  image.tag = "1.4.0";
  image.manifest.digest = release::digest_of("manifest");
  image.platform = "linux/amd64";
  Package package = package_of_type("npm");
  package.name = "left-pad";
  package.version = "1.3.0";
  image.packages = {{package, path}};
  if (!problem.empty()) image.problems = {problem};
  inventory.images = {image, image};
  inventory.images[1].name = "registry.example.com/app/worker:1.4.0";
  return inventory;
}

Json parse(const std::string& text) {
  return codec::parse_json(text, "SBOM");
}

TEST(Spdx, IsValidAndComplete) {
  const release::Manifest manifest = sample();
  PackageList os;
  os.packages = {package_of_type("deb")};
  os.packages[0].name = "openssh-server";
  os.packages[0].version = "1:9.6p1-3ubuntu13";
  // Paths and problems hold bytes of strangers.
  const Inventory inventory = inventory_with("a\xFF\n/package.json", "b\x01\xFE");
  const Json json = parse(write_spdx({manifest, inventory, os}));
  const auto violations = codec::Schema::parse(kSchema, "SPDX").check(json);
  EXPECT_TRUE(violations.empty()) << codec::describe(violations);

  std::set<std::string> ids{"SPDXRef-DOCUMENT"};
  std::set<std::string> names;
  std::set<std::string> purls;
  for (const Json& package : json.at("packages").as_array()) {
    EXPECT_TRUE(ids.insert(package.at("SPDXID").as_string()).second);
    names.insert(package.at("name").as_string());
    if (const Json* refs = package.find("externalRefs")) {
      purls.insert(refs->as_array()[0].at("referenceLocator").as_string());
    }
  }
  for (const Json& relation : json.at("relationships").as_array()) {
    EXPECT_TRUE(ids.contains(relation.at("spdxElementId").as_string()));
    EXPECT_TRUE(ids.contains(relation.at("relatedSpdxElement").as_string()));
  }
  for (const char* name :
       {"example-appliance", "registry.example.com/app/server:1.4.0", "app", "k3s",
        "appliance.qcow2", "install.sh", "ubuntu", "left-pad", "openssh-server"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_TRUE(purls.contains("pkg:npm/left-pad@1.3.0"));
  EXPECT_TRUE(
      purls.contains("pkg:deb/ubuntu/openssh-server@1:9.6p1-3ubuntu13?distro=ubuntu-24.04"));
  EXPECT_TRUE(purls.contains("pkg:github/k3s-io/k3s@v1.31.6%2Bk3s1"));
}

TEST(Spdx, ContentDecidesTheBytes) {
  const release::Manifest manifest = sample();
  const Inventory inventory = inventory_with("a", "");
  const std::string text = write_spdx({manifest, inventory, {}});
  EXPECT_EQ(write_spdx({manifest, inventory, {}}), text);
  const std::string other = write_spdx({manifest, inventory_with("b", ""), {}});
  EXPECT_NE(parse(other).at("documentNamespace"), parse(text).at("documentNamespace"));
}

TEST(Provenance, NamesInputsAndOutputsByDigest) {
  const release::Manifest manifest = sample();
  const std::vector<std::string> sources{"oci:images:app", "docker://docker.io/library/redis"};
  const std::string text =
      write_provenance({manifest, "https://ci.example.com/build", release::digest_of("spec"),
                        sources, release::digest_of("sbom")});
  const Json json = parse(text);
  EXPECT_EQ(json.at("_type").as_string(), "https://in-toto.io/Statement/v1");
  EXPECT_EQ(json.at("predicateType").as_string(), "https://slsa.dev/provenance/v1");
  ASSERT_EQ(json.at("subject").as_array().size(), manifest.artifacts().size());
  EXPECT_EQ(json.at("subject").as_array()[0].at("digest").at("sha256").as_string(),
            manifest.release_index->descriptor.digest.hex());
  const Json& definition = json.at("predicate").at("buildDefinition");
  std::map<std::string, std::string> inputs;
  for (const Json& input : definition.at("resolvedDependencies").as_array()) {
    inputs[input.at("name").as_string()] = input.at("digest").at("sha256").as_string();
  }
  EXPECT_EQ(inputs.at("release.yaml"), release::digest_of("spec").hex());
  EXPECT_EQ(inputs.at("k3s"), manifest.k8s_artifacts[0].content.hex());
  EXPECT_EQ(inputs.at(manifest.images[1].name), manifest.images[1].descriptor.digest.hex());
  EXPECT_EQ(json.at("predicate").at("runDetails").at("builder").at("id").as_string(),
            "https://ci.example.com/build");
}

TEST(ReleaseAttestor, HangsBothOnTheReleaseIndex) {
  release::Manifest manifest = sample();
  manifest.images.clear();  // their documents are not here
  ReleaseAttestor attestor({"urn:test", release::digest_of("spec"), {}, {}});
  const auto blobs = attestor.attest(manifest, {});
  ASSERT_EQ(manifest.release_index->referrers.size(), 2U);
  std::set<Digest> digests;
  for (const spec::BlobInput& blob : blobs) {
    EXPECT_TRUE(digests.insert(blob.digest).second);
    const Bytes bytes = read_all(*blob.open(), 1 << 20, "blob");
    EXPECT_EQ(sha256(bytes), blob.digest);
    EXPECT_EQ(bytes.size(), blob.size);
  }
  for (const release::Referrer& referrer : manifest.release_index->referrers) {
    EXPECT_TRUE(digests.contains(referrer.descriptor.digest));
    EXPECT_EQ(referrer.subject, manifest.release_index->descriptor.digest);
  }
  EXPECT_EQ(manifest.release_index->referrers[0].descriptor.artifact_type, kSpdxType);
  EXPECT_EQ(manifest.release_index->referrers[1].descriptor.artifact_type, kInTotoType);
}

}  // namespace
}  // namespace bundle::attest
