// Private to the crypto room.
#pragma once

namespace bundle {

// Initialises libsodium once; call it before any of its functions. Throws Error{internal}.
void require_sodium();

}  // namespace bundle
