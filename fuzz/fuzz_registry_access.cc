// The access file of the registry, and the files of users and tokens beside it. The first byte
// chooses which of the three the rest is; the other two are sound.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bundle/error.h"
#include "registry/access_policy.h"

using bundle::registry::AccessPolicy;
using bundle::registry::Caller;
using bundle::registry::Verb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  const unsigned which = data[0] % 3;
  const auto read = [&](const bundle::Path& file) -> std::string {
    if (which == 0 && file == "access.yaml") return text;
    if (which == 1 && file == "users") return text;
    if (which == 2 && file == "tokens") return text;
    if (file != "access.yaml") return "";
    return "apiVersion: bundle/v1\nkind: RegistryAccess\nusers: users\ntokens: tokens\n"
           "rules:\n- {prefix: \"\", pull: [authenticated]}\n";
  };
  try {
    const auto policy = AccessPolicy::load(read, "access.yaml");
    // Nobody without a name pushes, whatever the file says, and no file makes a user of these
    // names.
    if (policy->allows(Caller{}, Verb::push, "team/app")) std::abort();
    if (policy->password_hash("anonymous") || policy->password_hash("authenticated")) std::abort();
    if (which != 0 && policy->allows(Caller{}, Verb::pull, "team/app")) std::abort();
    const auto owner = policy->token_owner("a token");
    if (owner && !bundle::registry::is_user_name(*owner)) std::abort();
  } catch (const bundle::Error&) {
  }
  return 0;
}
