// Ends the process as `kill -9` would, just before or just after its Nth rename: every change of a
// site's state is one. Loaded with LD_PRELOAD. BUNDLE_TEST_RENAME=N ends before the Nth,
// BUNDLE_TEST_RENAME=N+ after it.
#include <dlfcn.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

extern "C" int rename(const char* from, const char* to) noexcept {
  static int count = 0;
  using Rename = int (*)(const char*, const char*);
  static const auto real = reinterpret_cast<Rename>(::dlsym(RTLD_NEXT, "rename"));
  const char* const at = std::getenv("BUNDLE_TEST_RENAME");
  const bool hit = at != nullptr && ++count == std::atoi(at);
  const bool after = hit && std::strchr(at, '+') != nullptr;
  if (hit && !after) ::raise(SIGKILL);
  const int result = real(from, to);
  if (after) ::raise(SIGKILL);
  return result;
}
