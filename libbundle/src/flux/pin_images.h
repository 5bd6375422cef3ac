// Image references in the text of a manifest, replaced by digests where the release has the image.
// The text is edited in place: comments, order and layout stay as their author wrote them.
#pragma once

#include <string>
#include <string_view>

#include "flux/image_references.h"
#include "flux/release_images.h"

namespace bundle::flux {

// What has no image in the release, and what cannot be edited where it stands, stays as it is: the
// closure check names it. An OCIRepository is pinned by its ref, with one key there; "redis:7" with
// a tag of its own in {repository, tag} becomes the tag "7@sha256:...", unless there is a `digest`.
// Throws Error{spec_invalid} when the text is no stream of YAML documents, Error{limit}.
std::string pin_images(std::string_view text, std::string_view file, const ReleaseImages& images,
                       const ImagePatterns& patterns);

}  // namespace bundle::flux
