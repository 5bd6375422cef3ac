// Every place of a Kubernetes manifest, or of a chart's values, that names an image.
//
// Where Kubernetes itself defines the field (containers, init containers, ephemeral containers,
// image volumes) nothing is guessed. Custom resources, values, arguments and environment variables
// are searched by names and forms that the field uses, and by patterns that the release declares.
#pragma once

#include <string>
#include <vector>

#include "codec/json.h"

namespace bundle::flux {

// What a release declares beyond the built-in rules. '*' stands for any characters.
struct ImagePatterns {
  std::vector<std::string> environment;  // names of variables: "RELATED_IMAGE_*"
  std::vector<std::string> fields;       // keys on the way, without indexes: "spec.agent.imageName"
};

struct ImageReference {
  enum class Form : std::uint8_t {
    image,      // the whole text is the reference
    parts,      // a mapping: registry, repository, tag, digest
    kustomize,  // an entry of kustomize's `images`: newName, newTag, digest
    token,      // stands in a longer text: an argument, a manifest inside a ConfigMap
    source,     // spec of an OCIRepository: url and ref
    outside,  // another source of Flux (HelmRepository, GitRepository, Bucket): never in a release
  };
  Form form = Form::image;
  std::string pointer;  // JSON pointer to the text, to the mapping, or to what holds the token
  std::string text;     // as a node would be asked for it; of `source` the url
  std::string tag;      // of `source`: ref.tag; empty when a digest decides, or nothing does
  bool pinned = false;  // a digest decides
};

// In the order of the keys. `document` is one resource, a kustomization, or a values file.
// Memory: the references.
std::vector<ImageReference> find_image_references(const codec::Json& document,
                                                  const ImagePatterns& patterns);

// The tokens of a text that are complete image names with a tag or a digest
// ("registry.example.com/app/web:1.4.0"); what else a text may mean is not guessed.
std::vector<std::string> find_image_tokens(std::string_view text);

// '*' stands for any characters, everything else for itself.
bool matches_pattern(std::string_view text, std::string_view pattern);

}  // namespace bundle::flux
