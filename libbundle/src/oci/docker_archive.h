// Content from the output of `docker save`: docker-archive:FILE[:NAME:TAG].
//
// Docker 25 and newer write an OCI layout into the tar: it is used exactly. Older archives have no
// manifest; a deterministic OCI manifest is made from manifest.json: config and layers byte for
// byte as stored. Source: moby image/spec/v1.2.md ("Combined Image JSON + Filesystem Changeset
// Format").
#pragma once

#include <memory>
#include <string>

#include "io/file_system.h"
#include "oci/content.h"

namespace bundle::oci {

// `image` is a name as in RepoTags ("redis:7.2"), read as Docker reads it; empty when the archive
// holds one image. Throws Error{not_found} naming the images, Error{oci_invalid|archive_invalid|
// name_collision|limit}. Uncompressed layers take their digest from the config's diff_ids, so that
// opening reads headers only; streaming them checks it. Gzip members are hashed at opening.
std::shared_ptr<ContentSource> open_docker_archive(FileSystem& fs, const Path& file,
                                                   const std::string& image, std::string name);

}  // namespace bundle::oci
