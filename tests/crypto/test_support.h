// Shared by the crypto and trust tests: scratch folders, running tools, expecting error codes.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "bundle/error.h"
#include "crypto/minisign.h"
#include "io/file_system.h"

namespace bundle::test {

// An empty directory that goes away with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "bundle-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  Path operator/(std::string_view name) const { return path_ / name; }
  const Path& path() const { return path_; }

 private:
  Path path_;
};

// Exit status of a shell command line; its output is dropped.
inline int run_shell(const std::string& command) {
  const int status = std::system(("{ " + command + "\n} >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline bool has_tool(const std::string& name) {
  return run_shell("command -v " + name) == 0;
}

inline void write_text(const Path& path, std::string_view text) {
  write_file_atomically(posix_file_system(), path, as_bytes(text));
}

inline std::string read_text(const Path& path) {
  return read_text_file(posix_file_system(), path, 1 << 20);
}

// A key whose bytes are a function of `number`: tests that compare documents need fixed keys.
inline MinisignSecretKey fixed_key(int number) {
  const auto byte = static_cast<std::uint8_t>(number);
  const Bytes seed(Ed25519SecretKey::kSeedSize, byte);
  MinisignKeyId id;
  id.bytes.fill(byte);
  return {id, Ed25519SecretKey::from_seed(seed)};
}

// Runs `action`, which must throw Error with `code`, and returns the error for a look at its words.
template <typename Action>
Error expect_error(ErrorCode code, Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error_name(error.code()), error_name(code)) << error.message();
    EXPECT_FALSE(error.message().empty());
    return error;
  }
  ADD_FAILURE() << "no error where " << error_name(code) << " was expected";
  return {ErrorCode::internal, "no error"};
}

// Changes each byte of `text` in turn and calls `check(changed, position)`.
template <typename Check>
void for_each_flip(const std::string& text, Check check) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 0x01);
    check(changed, at);
  }
}

}  // namespace bundle::test
