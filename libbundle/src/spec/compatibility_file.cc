#include "spec/compatibility_file.h"

#include <fmt/format.h>

#include "bundle/error.h"
#include "spec/checked_yaml.h"

namespace bundle::spec {

codec::YamlDocument load_compatibility(FileSystem& fs, const Path& file,
                                       const std::string& product) {
  codec::YamlDocument document =
      parse_checked_yaml(read_text_file(fs, file, kMaxCompatibilityBytes), file.string(),
                         "compatibility", kMaxCompatibilityBytes);
  const std::string& owner = document.root().at("product").as_string();
  if (owner == product) return document;
  throw Error(ErrorCode::spec_invalid,
              fmt::format("{}: this is the matrix of {}, not of {}", document.where("/product"),
                          owner, product),
              "Name the matrix of this product in gates.compatibilityPath.");
}

}  // namespace bundle::spec
