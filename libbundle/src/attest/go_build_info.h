// The list of modules that Go's linker leaves in every program.
// Source: Go 1.18 and later, debug/buildinfo and cmd/link ("inline" form); runtime/debug
// "BuildInfo".
#pragma once

#include <optional>

#include "attest/package_files.h"
#include "io/stream.h"

namespace bundle::attest {

// Longest module list; Kubernetes' has some 20 KiB.
inline constexpr std::size_t kMaxGoModuleText = 1024 * 1024;

// Looks for build information in a program while it passes. Never throws for what it reads.
// Memory: kMaxGoModuleText in the worst case, a few KiB in practice. Not thread-safe.
class GoBuildInfoFinder final : public Sink {
 public:
  void write(ByteView bytes) override;
  // The main module, its dependencies and the standard library, "golang" packages; nothing when the
  // program was not made by Go, or by one before 1.18.
  std::optional<PackageList> finish();

 private:
  void search();
  bool read_at(std::size_t at);

  Bytes held_;                // what may be the start of the magic, or what follows it so far
  std::uint64_t offset_ = 0;  // of held_ in the program
  bool done_ = false;
  std::optional<PackageList> result_;
};

// Module text ("path\t...\nmod\t...\ndep\t...\n=>\t...") without the marks around it.
PackageList parse_go_modules(std::string_view text, std::string_view go_version);

}  // namespace bundle::attest
