// Image manifests and indexes read from their exact bytes. The bytes stay what they are: a document
// that was read is never written again.
// Source: opencontainers/image-spec manifest.md, image-index.md, descriptor.md; Docker "Image
// Manifest Version 2, Schema 2".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "oci/content.h"

namespace bundle::oci {

// Registries must accept 4 MiB (distribution-spec, "Pushing Manifests"); few accept more.
inline constexpr std::uint64_t kMaxDocumentBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxLayers = 4096;          // containerd mounts at most some hundreds
inline constexpr std::size_t kMaxIndexEntries = 16'384;  // an index.json of many images
inline constexpr std::size_t kMaxAnnotations = 1024;

struct Manifest {
  std::string media_type;
  std::string artifact_type;  // empty when absent
  Descriptor config;
  std::vector<Descriptor> layers;
  std::optional<Descriptor> subject;
  Annotations annotations;

  // What referrer lists call it: artifact_type, else the config's media type.
  const std::string& kind() const {
    return artifact_type.empty() ? config.media_type : artifact_type;
  }
};

struct Index {
  std::string media_type;
  std::string artifact_type;
  std::vector<Descriptor> manifests;
  std::optional<Descriptor> subject;
  Annotations annotations;
};

// `what` is how messages call the document ("manifest sha256:... of oci:images:app").
// `media_type` is what the naming descriptor says; a body that says another one is refused.
// Throw Error{oci_invalid|json_invalid|limit}, Error{unsupported} for digests other than sha256
// and for Docker schema 1.
Manifest parse_manifest(ByteView bytes, std::string_view media_type, std::string_view what);
Index parse_index(ByteView bytes, std::string_view media_type, std::string_view what);
// The same with the document's own descriptor.
Manifest parse_manifest(const Document& document);
Index parse_index(const Document& document);

// One descriptor of a JSON document.
Descriptor parse_descriptor(const codec::Json& json, std::string_view what);

// A manifest of our own, for what comes without one (files, charts, SBOMs, docker archives):
// compact JSON with sorted keys, so that equal models give equal bytes.
Document make_manifest(const Manifest& manifest);
// An index of our own, in the same form. Of the model, `subject` is not written.
Document make_index(const Index& index);

// The media type that the bytes themselves name, or that their members give away (Docker and OCI
// documents without mediaType). Throws Error{oci_invalid} when they are no manifest and no index.
std::string sniff_media_type(ByteView bytes, std::string_view what);

// Throws Error{blob_mismatch} unless size and digest of the bytes are the descriptor's.
void check_bytes(const Descriptor& descriptor, ByteView bytes, std::string_view what);

// os, architecture and variant of an image config; nothing when it names no os or architecture.
std::optional<Platform> config_platform(ByteView config, std::string_view what);

}  // namespace bundle::oci
