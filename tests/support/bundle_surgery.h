// Takes a one-volume bundle apart and puts a changed one together, signed if wanted: bundles that a
// damaged medium, an attacker, or a vendor with a broken tool could hand over.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "format/index.h"
#include "format/recipe.h"
#include "format/volume.h"
#include "support/sample_release.h"

namespace bundle::testing {

struct BundleParts {
  format::VolumeHeader header;
  format::FileList head;
  Bytes data;  // the leaves
  format::FileList tail;

  std::string& document(std::string_view name);  // of the head
};

BundleParts read_parts(const std::filesystem::path& volume);
// Sizes, offsets and checksums of the volume are made to fit; the documents stay as they are.
void write_parts(const std::filesystem::path& volume, const BundleParts& parts);
// Replaces all signatures by `key`'s, after carrier.json was made to name the statement, the index
// and the packs as they are now. `fit_statement` does the same for what the statement names.
void sign_parts(BundleParts& parts, const SampleKey& key, bool fit_statement = true);

// The index and each group's plain bytes and frame, of a bundle with all leaves in order.
struct Packs {
  format::Index index;
  std::vector<Bytes> frames;

  Bytes plain(std::size_t group) const;
  // Packs `plain` as the group's frame; the index says `declared` bytes (0: as many as there are).
  void replace(std::size_t group, const Bytes& plain, std::uint32_t declared = 0);
};
Packs read_packs(const BundleParts& parts);
void write_packs(BundleParts& parts, Packs packs);

// Gives blob number `blob` of the index another recipe.
void replace_recipe(Packs& packs, std::size_t blob, const Bytes& recipe);

}  // namespace bundle::testing
