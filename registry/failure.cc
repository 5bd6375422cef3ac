#include "registry/failure.h"

#include "codec/json.h"

namespace bundle::registry {

std::string Failure::body() const {
  codec::Json error = codec::Json::object();
  error.set("code", code);
  error.set("message", message);
  codec::Json errors = codec::Json::array();
  errors.push_back(std::move(error));
  codec::Json document = codec::Json::object();
  document.set("errors", std::move(errors));
  return codec::dump_json(document) + "\n";
}

}  // namespace bundle::registry
