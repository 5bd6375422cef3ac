// What is signed along with a document: the trusted comment.
#pragma once

#include <string>
#include <string_view>

namespace bundle::trust {

// Says what the document is and nothing that changes from run to run: "example-appliance 1.4.0
// release 7". Throws Error{statement_invalid} naming `what` when it is none of ours or is
// malformed: nobody should sign what no site would read.
std::string trusted_comment(std::string_view json, std::string_view what);

}  // namespace bundle::trust
