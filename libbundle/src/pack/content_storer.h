// Objects of plain bytes, stored, with their runs in a recipe.
#pragma once

#include <string>

#include "pack/blob_packer.h"
#include "pack/object_splitter.h"

namespace bundle::pack {

// Stores objects and writes their runs. Neither argument is owned.
class ObjectStorer final : public ObjectVisitor {
 public:
  ObjectStorer(BlobPacker& packer, format::RecipeWriter& recipe)
      : packer_(packer), recipe_(recipe) {}

  void on_header(ByteView bytes, const std::string& path) override {
    recipe_.add_run(packer_.store_header(bytes, path));
  }
  void on_file(const std::string& path, std::uint64_t size) override { file_ = {path, size, 0}; }
  void on_block(ByteView bytes) override {
    recipe_.add_run(packer_.store_object(bytes, file_));
    file_.position += bytes.size();
  }

 private:
  BlobPacker& packer_;
  format::RecipeWriter& recipe_;
  FilePlace file_;
};

// Splitter and storer of one stream of plain bytes.
struct Content {
  Content(BlobPacker& packer, format::RecipeWriter& recipe)
      : storer(packer, recipe), splitter(storer) {}
  void write(ByteView bytes) { splitter.write(bytes); }
  void finish() { splitter.finish(); }

  ObjectStorer storer;
  ContentSplitter splitter;
};

}  // namespace bundle::pack
