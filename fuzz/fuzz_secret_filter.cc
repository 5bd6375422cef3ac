// Any text through the filter of support bundles: a planted secret never comes out, whatever stands
// around it.
#include <cstdlib>

#include "base/bytes.h"
#include "site/secret_filter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  const std::string secret = "planted-secret-0123";
  std::string text(as_text({data, size}));
  text.insert(text.size() / 2, secret);
  text += "\npassword: " + secret;
  const site::FilteredText filtered = site::filter_secrets(text, {secret});
  if (filtered.text.find(secret) != std::string::npos || filtered.removed == 0) std::abort();
  // What is named like a secret goes, also when nobody knows it.
  const site::FilteredText unknown = site::filter_secrets("token=" + secret + "\n", {});
  if (unknown.text.find(secret) != std::string::npos) std::abort();
  return 0;
}
