// Content from local files, by skopeo's transport names:
//   oci:DIR[:TAG][@sha256:HEX]           OCI image layout directory
//   oci-archive:FILE[:TAG][@sha256:HEX]  tar archive of a layout
//   docker-archive:FILE[:NAME:TAG]       output of `docker save`, see docker_archive.h
// As with skopeo the path ends at the first colon, so it cannot hold one.
// Source: opencontainers/image-spec image-layout.md; containers-transports(5).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_system.h"
#include "oci/content.h"
#include "oci/layout_files.h"

namespace bundle::oci {

// What a person wrote after the path.
struct LayoutSelector {
  // Annotation org.opencontainers.image.ref.name or io.containerd.image.name; empty = not given.
  std::string tag;
  std::optional<Digest> digest;  // with a tag: the tag must name this digest
};

// A source over the files of a layout. With no selector the layout must hold exactly one image (its
// signatures and attestations do not count). `name` is what messages call it. Thread-safe.
// Throws Error{not_found} naming the tags that exist, Error{name_collision} when one tag names two
// digests, Error{oci_invalid|unsupported}.
std::shared_ptr<ContentSource> open_layout(std::unique_ptr<LayoutFiles> files,
                                           const LayoutSelector& selector, std::string name);

// One entry of a layout's index.json.
struct LayoutEntry {
  std::shared_ptr<ContentSource> source;  // opened for this entry
  std::string tag;                        // its annotation ref.name; may be empty
};

// Every manifest and index that a layout directory lists, in its order. Throws as open_layout does,
// Error{not_found} when there is no such directory.
std::vector<LayoutEntry> open_layout_entries(FileSystem& fs, const Path& directory);

// True for the transports above.
bool is_local_reference(std::string_view reference);
// Opens any of the transports above; a relative path is below `base_dir`. `fs` outlives the source.
// Throws Error{usage} for another transport or a malformed reference.
std::shared_ptr<ContentSource> open_local_source(FileSystem& fs, std::string_view reference,
                                                 const Path& base_dir);

}  // namespace bundle::oci
