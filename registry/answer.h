// From a request to its answer: everything that the registry knows about HTTP semantics, without
// a socket.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "io/unique_fd.h"
#include "registry/access_policy.h"
#include "registry/blob_files.h"
#include "registry/catalog.h"
#include "registry/failure.h"
#include "registry/pushed_repositories.h"
#include "registry/request_target.h"

namespace bundle::registry {

// Views into the connection's memory; empty when the header is absent.
struct RequestHeaders {
  std::string_view if_none_match;
  std::string_view range;
  std::string_view if_range;
};

// A part of an open file.
struct FileSlice {
  UniqueFd fd;
  std::uint64_t offset = 0;
};

struct Answer {
  unsigned status = 200;
  std::vector<std::pair<std::string_view, std::string>> headers;  // names: static storage
  // Text, a document that stays alive with its catalog, or a file. Never sent for HEAD.
  std::variant<std::string, DocumentPtr, FileSlice> body;
  std::uint64_t content_length = 0;  // of a GET, also when the method is HEAD
};

// A blob whose file must be hashed before the request can be answered.
struct NeedsVerification {
  Digest digest;
  BlobFacts facts;
};

// Who asks, and by which rules.
struct Admission {
  std::shared_ptr<const AccessPolicy> held;
  Caller caller;
  const AccessPolicy& policy() const { return *held; }
};

using AnswerOrWait = std::variant<Answer, NeedsVerification>;

// Routes under /v2/. `is_head` only spares work: the caller leaves the body out.
// `verified`: this request has waited for a verification already.
AnswerOrWait answer_v2(const Route& route, bool is_head, bool verified,
                       const RequestHeaders& headers, const Admission& admission,
                       const Catalog& catalog, const PushedRepositories& pushed, BlobFiles& files);

// 401 for somebody without a name, 403 for a caller who may not do this.
Failure refusal(const Caller& caller);
Failure unauthorized(std::string message);

Answer answer_failure(const Failure& failure);
Answer answer_text(unsigned status, std::string_view content_type, std::string body);

}  // namespace bundle::registry
