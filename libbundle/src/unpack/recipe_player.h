// Plays a recipe: streams the bytes of one blob into a sink.
#pragma once

#include <functional>
#include <vector>

#include "bundle/progress.h"
#include "format/blob_list.h"
#include "format/recipe.h"
#include "io/stream.h"
#include "unpack/group_reader.h"

namespace bundle::unpack {

// A blob's recipe. Throws what GroupReader throws.
Bytes read_recipe(GroupReader& groups, const format::IndexedBlob& blob);

class PartWorkers;

// Writes the blob's bytes from offset `skip` on to `out`. What is skipped is not made, but for
// deflate streams that are not in parts. Never writes more than blob.size bytes: a recipe that
// yields more ends in Error{bomb}, one that yields less in Error{recipe_invalid}.
// The bytes are not hashed here. Parts of deflate streams are made by `workers`; null: here, one
// after the other. Memory: one encoder, and a slot's (PartWorkers); groups are the reader's.
void play_recipe(GroupReader& groups, ByteView recipe, const format::BlobEntry& blob, Sink& out,
                 const Cancel& cancel, std::uint64_t skip = 0, PartWorkers* workers = nullptr);

// Calls visit(run) for every run of the recipe, in order of use.
void visit_runs(ByteView recipe, const format::Index& index, const Digest& blob,
                const std::function<void(const format::Run&)>& visit);

// Calls visit(group number) for every group that the recipe's runs touch, in order of use;
// the same group may be visited several times.
void visit_groups(ByteView recipe, const format::Index& index, const Digest& blob,
                  const std::function<void(std::uint32_t)>& visit);

}  // namespace bundle::unpack
