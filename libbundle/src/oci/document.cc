#include "oci/document.h"

#include <fmt/format.h>

#include <algorithm>

#include "bundle/error.h"

namespace bundle::oci {
namespace {

using codec::Json;

[[noreturn]] void fail(std::string_view what, std::string_view reason) {
  throw Error(ErrorCode::oci_invalid, fmt::format("{}: {}", what, reason),
              "Get the image again from where it was made; nothing of it was used.");
}

const Json& member(const Json& json, std::string_view key, std::string_view what) {
  const Json* found = json.find(key);
  if (found == nullptr) fail(what, fmt::format("'{}' is missing", key));
  return *found;
}

// A member that is a string; empty when it is absent.
std::string optional_string(const Json& json, std::string_view key, std::string_view what) {
  const Json* found = json.find(key);
  if (found == nullptr) return {};
  if (!found->is_string()) fail(what, fmt::format("'{}' is not a string", key));
  return found->as_string();
}

std::string media_type_member(const Json& json, std::string_view key, std::string_view what) {
  std::string type = optional_string(json, key, what);
  if (!type.empty() && !is_valid_media_type(type)) {
    fail(what, fmt::format("'{}' is not a media type", key));
  }
  return type;
}

Digest digest_member(const Json& json, std::string_view what) {
  const Json& value = member(json, "digest", what);
  if (!value.is_string()) fail(what, "'digest' is not a string");
  const std::string& text = value.as_string();
  if (Digest::is_valid(text)) return Digest::parse(text);
  if (text.starts_with("sha512:") || text.starts_with("blake3:")) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the digest algorithm of {} is not supported", what, text.substr(0, 80)),
        "Rebuild or copy the image so that it uses sha256.");
  }
  fail(what,
       fmt::format("'{}' is not a digest of the form sha256:<64 hex digits>", text.substr(0, 100)));
}

std::uint64_t size_member(const Json& json, std::string_view what) {
  const Json& value = member(json, "size", what);
  if (!value.is_int() || value.as_int() < 0) fail(what, "'size' is not a byte count");
  const auto size = static_cast<std::uint64_t>(value.as_int());
  if (size > kMaxBlobBytes) {
    throw Error(
        ErrorCode::limit,
        fmt::format("{}: a blob of {} bytes is over the limit of {}", what, size, kMaxBlobBytes),
        "No real image is like that: check where it comes from.");
  }
  return size;
}

Annotations annotations_member(const Json& json, std::string_view what) {
  Annotations annotations;
  const Json* found = json.find("annotations");
  if (found == nullptr || found->is_null()) return annotations;
  if (!found->is_object()) fail(what, "'annotations' is not an object");
  if (found->as_object().size() > kMaxAnnotations) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: more than {} annotations", what, kMaxAnnotations),
                "No real image is like that: check where it comes from.");
  }
  for (const auto& [key, value] : found->as_object()) {
    if (!value.is_string()) fail(what, fmt::format("annotation '{}' is not a string", key));
    annotations.emplace(key, value.as_string());
  }
  return annotations;
}

std::optional<Platform> platform_member(const Json& json, std::string_view what) {
  const Json* found = json.find("platform");
  if (found == nullptr || found->is_null()) return std::nullopt;
  if (!found->is_object()) fail(what, "'platform' is not an object");
  Platform platform;
  platform.os = optional_string(*found, "os", what);
  platform.architecture = optional_string(*found, "architecture", what);
  platform.variant = optional_string(*found, "variant", what);
  if (platform.os.empty() || platform.architecture.empty()) {
    fail(what, "'platform' names no os or no architecture");
  }
  return platform;
}

std::vector<Descriptor> descriptors_member(const Json& json, std::string_view key,
                                           std::size_t limit, std::string_view what) {
  const Json& list = member(json, key, what);
  if (!list.is_array()) fail(what, fmt::format("'{}' is not an array", key));
  if (list.as_array().size() > limit) {
    throw Error(ErrorCode::limit,
                fmt::format("{}: '{}' has {} entries, more than the limit of {}", what, key,
                            list.as_array().size(), limit),
                "No real image is like that: check where it comes from.");
  }
  std::vector<Descriptor> descriptors;
  descriptors.reserve(list.as_array().size());
  for (const Json& item : list.as_array()) {
    descriptors.push_back(
        parse_descriptor(item, fmt::format("{}, {}[{}]", what, key, descriptors.size())));
  }
  return descriptors;
}

std::optional<Descriptor> subject_member(const Json& json, std::string_view what) {
  const Json* found = json.find("subject");
  if (found == nullptr || found->is_null()) return std::nullopt;
  return parse_descriptor(*found, fmt::format("{}, subject", what));
}

Json parse_body(ByteView bytes, std::string_view what) {
  if (bytes.size() > kMaxDocumentBytes) {
    throw Error(ErrorCode::limit,
                fmt::format("{} has {} bytes, more than the limit of {}", what, bytes.size(),
                            kMaxDocumentBytes),
                "No real image is like that: check where it comes from.");
  }
  codec::JsonLimits limits;
  limits.max_bytes = kMaxDocumentBytes;
  Json body = codec::parse_json(as_text(bytes), what, limits);
  if (!body.is_object()) fail(what, "it is not a JSON object");
  const Json& version = member(body, "schemaVersion", what);
  if (version == Json(1)) {
    throw Error(ErrorCode::unsupported, fmt::format("{}: Docker schema 1 is not supported", what),
                "Copy the image with a current tool (skopeo copy --format=oci) and use that.");
  }
  if (version != Json(2)) fail(what, "'schemaVersion' is not 2");
  return body;
}

// The body may leave its type out (OCI 1.0); when it names one it must be the one it was named by.
std::string checked_media_type(const Json& body, std::string_view named_as, std::string_view what) {
  const std::string own = media_type_member(body, "mediaType", what);
  if (!own.empty() && own != named_as) {
    fail(what, fmt::format("its mediaType is {} but it is referred to as {}", own, named_as));
  }
  return std::string(named_as);
}

std::string document_name(const Document& document) {
  return fmt::format("{} {}", is_index_type(document.descriptor.media_type) ? "index" : "manifest",
                     document.descriptor.digest.text());
}

Json to_json(const Annotations& annotations) {
  Json json = Json::object();
  for (const auto& [key, value] : annotations) json.set(key, value);
  return json;
}

Json to_json(const Descriptor& descriptor) {
  Json json = Json::object();
  json.set("mediaType", descriptor.media_type);
  json.set("digest", descriptor.digest.text());
  json.set("size", descriptor.size);
  if (!descriptor.artifact_type.empty()) json.set("artifactType", descriptor.artifact_type);
  if (!descriptor.annotations.empty()) json.set("annotations", to_json(descriptor.annotations));
  return json;
}

}  // namespace

Descriptor parse_descriptor(const Json& json, std::string_view what) {
  if (!json.is_object()) fail(what, "it is not an object");
  Descriptor descriptor;
  descriptor.media_type = media_type_member(json, "mediaType", what);
  if (descriptor.media_type.empty()) fail(what, "'mediaType' is missing");
  descriptor.digest = digest_member(json, what);
  descriptor.size = size_member(json, what);
  descriptor.artifact_type = media_type_member(json, "artifactType", what);
  descriptor.platform = platform_member(json, what);
  descriptor.annotations = annotations_member(json, what);
  return descriptor;
}

Manifest parse_manifest(ByteView bytes, std::string_view media_type, std::string_view what) {
  if (!is_manifest_type(media_type)) {
    fail(what, fmt::format("{} is not an image manifest", media_type));
  }
  const Json body = parse_body(bytes, what);
  // A document that is both would mean different things to different readers (CVE-2021-41190).
  if (body.find("manifests") != nullptr) fail(what, "a manifest may not have 'manifests'");
  Manifest manifest;
  manifest.media_type = checked_media_type(body, media_type, what);
  manifest.artifact_type = media_type_member(body, "artifactType", what);
  manifest.config = parse_descriptor(member(body, "config", what), fmt::format("{}, config", what));
  manifest.layers = descriptors_member(body, "layers", kMaxLayers, what);
  manifest.subject = subject_member(body, what);
  manifest.annotations = annotations_member(body, what);
  return manifest;
}

Index parse_index(ByteView bytes, std::string_view media_type, std::string_view what) {
  if (!is_index_type(media_type)) fail(what, fmt::format("{} is not an index", media_type));
  const Json body = parse_body(bytes, what);
  if (body.find("config") != nullptr || body.find("layers") != nullptr) {
    fail(what, "an index may not have 'config' or 'layers'");
  }
  Index index;
  index.media_type = checked_media_type(body, media_type, what);
  index.artifact_type = media_type_member(body, "artifactType", what);
  index.manifests = descriptors_member(body, "manifests", kMaxIndexEntries, what);
  index.subject = subject_member(body, what);
  index.annotations = annotations_member(body, what);
  return index;
}

Manifest parse_manifest(const Document& document) {
  return parse_manifest(document.bytes, document.descriptor.media_type, document_name(document));
}

Index parse_index(const Document& document) {
  return parse_index(document.bytes, document.descriptor.media_type, document_name(document));
}

namespace {

Document make_document(const Json& json, const std::string& media_type,
                       const std::string& artifact_type) {
  Document document;
  document.bytes = to_bytes(codec::dump_json(json));
  document.descriptor.media_type = media_type;
  document.descriptor.artifact_type = artifact_type;
  document.descriptor.digest = sha256(document.bytes);
  document.descriptor.size = document.bytes.size();
  return document;
}

}  // namespace

Document make_manifest(const Manifest& manifest) {
  Json json = Json::object();
  json.set("schemaVersion", 2);
  json.set("mediaType", manifest.media_type);
  if (!manifest.artifact_type.empty()) json.set("artifactType", manifest.artifact_type);
  json.set("config", to_json(manifest.config));
  Json layers = Json::array();
  for (const Descriptor& layer : manifest.layers) layers.push_back(to_json(layer));
  json.set("layers", std::move(layers));
  if (manifest.subject) json.set("subject", to_json(*manifest.subject));
  if (!manifest.annotations.empty()) json.set("annotations", to_json(manifest.annotations));
  return make_document(json, manifest.media_type, manifest.artifact_type);
}

Document make_index(const Index& index) {
  Json json = Json::object();
  json.set("schemaVersion", 2);
  json.set("mediaType", index.media_type);
  if (!index.artifact_type.empty()) json.set("artifactType", index.artifact_type);
  Json manifests = Json::array();
  for (const Descriptor& entry : index.manifests) manifests.push_back(to_json(entry));
  json.set("manifests", std::move(manifests));
  if (!index.annotations.empty()) json.set("annotations", to_json(index.annotations));
  return make_document(json, index.media_type, index.artifact_type);
}

std::string sniff_media_type(ByteView bytes, std::string_view what) {
  const Json body = parse_body(bytes, what);
  const std::string own = media_type_member(body, "mediaType", what);
  if (is_document_type(own)) return own;
  if (!own.empty()) fail(what, fmt::format("{} is no manifest and no index", own));
  if (body.find("manifests") != nullptr) return std::string(media_type::kIndex);
  if (body.find("config") != nullptr) return std::string(media_type::kManifest);
  fail(what, "it is no manifest and no index");
}

void check_bytes(const Descriptor& descriptor, ByteView bytes, std::string_view what) {
  if (bytes.size() != descriptor.size) {
    throw Error(
        ErrorCode::blob_mismatch,
        fmt::format("{} has {} bytes where {} are declared", what, bytes.size(), descriptor.size),
        "Get the image again from where it was made.");
  }
  const Digest actual = sha256(bytes);
  if (actual != descriptor.digest) {
    throw Error(
        ErrorCode::blob_mismatch,
        fmt::format("{} hashes to {} instead of {}", what, actual.text(), descriptor.digest.text()),
        "Get the image again from where it was made.");
  }
}

std::optional<Platform> config_platform(ByteView config, std::string_view what) {
  const Json json = codec::parse_json(as_text(config), what);
  Platform platform;
  platform.os = optional_string(json, "os", what);
  platform.architecture = optional_string(json, "architecture", what);
  platform.variant = optional_string(json, "variant", what);
  if (platform.os.empty() || platform.architecture.empty()) return std::nullopt;
  return platform;
}

}  // namespace bundle::oci
