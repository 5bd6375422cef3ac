// What a folder holds, for comparing before and after.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/digest.h"

namespace bundle::testing {

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_whole(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
}

// Relative path to digest of content ("folder", or the target of a link). The lock file is left
// out: it holds the number of the last process that took the lock.
using FileTree = std::map<std::string, std::string>;

inline FileTree file_tree(const std::filesystem::path& root) {
  FileTree tree;
  if (!std::filesystem::exists(root)) return tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string name = entry.path().lexically_relative(root).string();
    if (name == ".lock") continue;
    if (entry.is_symlink()) {
      tree[name] = "-> " + std::filesystem::read_symlink(entry.path()).string();
    } else if (entry.is_regular_file()) {
      tree[name] = sha256(as_bytes(read_whole(entry.path()))).text();
    } else {
      tree[name] = entry.is_directory() ? "folder" : "other";
    }
  }
  return tree;
}

inline std::vector<std::filesystem::path> volumes_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> volumes;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".bundle") volumes.push_back(entry.path());
  }
  std::ranges::sort(volumes);
  return volumes;
}

}  // namespace bundle::testing
