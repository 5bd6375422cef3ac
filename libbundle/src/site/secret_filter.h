// Takes secrets out of texts that leave a site.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bundle::site {

struct FilteredText {
  std::string text;
  std::uint64_t removed = 0;  // places
};

// Replaced by "(removed)": every text of `known` (of four characters and more); private keys in
// PEM, also inside JSON strings; values of keys that are named like secrets (password, token,
// secret, ...: "key: value", "key=value", "--key value", to the end of the quoted text, else of the
// line); bearer and basic credentials, JSON web tokens, tokens of k3s; user names and passwords in
// addresses. Rather too much than too little. Linear in the text. Pure.
FilteredText filter_secrets(std::string_view text, const std::vector<std::string>& known);

}  // namespace bundle::site
