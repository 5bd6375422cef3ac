// Private to the codec room: our value model as the library's, for output and for schemas.
#pragma once

#include <nlohmann/json.hpp>

#include "codec/json.h"

namespace bundle::codec {

nlohmann::json to_nlohmann(const Json& value);

}  // namespace bundle::codec
