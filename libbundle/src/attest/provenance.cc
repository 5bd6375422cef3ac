#include "attest/provenance.h"

#include "codec/json.h"

namespace bundle::attest {
namespace {

using codec::Json;

Json digest_set(const Digest& digest) {
  Json out = Json::object();
  out.set("sha256", digest.hex());
  return out;
}

Json resource(const std::string& name, const Digest& digest) {
  Json out = Json::object();
  out.set("name", name).set("digest", digest_set(digest));
  return out;
}

// The index of all artifacts first: its digest stands for the release.
Json subjects(const release::Manifest& manifest) {
  Json out = Json::array();
  if (manifest.release_index) {
    out.push_back(
        resource(manifest.release_index->name, manifest.release_index->descriptor.digest));
  }
  for (const release::Artifact* artifact : manifest.artifacts()) {
    if (manifest.release_index && artifact == &*manifest.release_index) continue;
    out.push_back(resource(artifact->name, artifact->descriptor.digest));
  }
  return out;
}

Json dependencies(const ProvenanceSource& source) {
  const release::Manifest& manifest = source.manifest;
  Json out = Json::array();
  out.push_back(resource("release.yaml", source.spec));
  for (std::size_t i = 0; i < manifest.images.size(); ++i) {
    Json image = resource(manifest.images[i].name, manifest.images[i].descriptor.digest);
    if (i < source.image_sources.size()) image.set("uri", source.image_sources[i]);
    image.set("mediaType", manifest.images[i].descriptor.media_type);
    out.push_back(std::move(image));
    for (const release::Referrer& referrer : manifest.images[i].referrers) {
      Json entry = resource("referrer of " + referrer.subject.text(), referrer.descriptor.digest);
      entry.set("mediaType", referrer.descriptor.media_type);
      out.push_back(std::move(entry));
    }
  }
  out.push_back(resource(manifest.chart_path, manifest.chart.artifact.descriptor.digest));
  for (const auto* files : {&manifest.os_artifacts, &manifest.k8s_artifacts, &manifest.files}) {
    for (const release::FileArtifact& file : *files)
      out.push_back(resource(file.name, file.content));
  }
  return out;
}

}  // namespace

std::string write_provenance(const ProvenanceSource& source) {
  Json parameters = Json::object();
  parameters.set("product", source.manifest.product)
      .set("releaseVersion", source.manifest.version)
      .set("releaseNumber", source.manifest.release_number)
      .set("valuesProfile", source.manifest.values_profile);
  Json definition = Json::object();
  definition.set("buildType", kBuildType)
      .set("externalParameters", std::move(parameters))
      .set("resolvedDependencies", dependencies(source));
  Json builder = Json::object();
  builder.set("id", source.builder);
  Json byproducts = Json::array();
  byproducts.push_back(resource("sbom.spdx.json", source.sbom));
  Json details = Json::object();
  details.set("builder", std::move(builder)).set("byproducts", std::move(byproducts));
  Json predicate = Json::object();
  predicate.set("buildDefinition", std::move(definition)).set("runDetails", std::move(details));
  Json statement = Json::object();
  statement.set("_type", kInTotoStatement)
      .set("subject", subjects(source.manifest))
      .set("predicateType", kSlsaProvenance)
      .set("predicate", std::move(predicate));
  return codec::canonical_json(statement);
}

}  // namespace bundle::attest
