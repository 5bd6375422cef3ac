// `bundle-registry serve`: a server with the signals and files of a service around it.
#pragma once

#include <chrono>
#include <optional>

#include "io/file_system.h"
#include "registry/http_server.h"
#include "registry/server_log.h"

namespace bundle::registry {

struct ServeOptions {
  Path store;
  ServerOptions server;
  LogForm log_form = LogForm::text;
  bool log_requests = false;
  std::optional<Path> port_file;  // gets the bound port as decimal text, once the server answers
  std::chrono::milliseconds drain_limit{30'000};
};

// Serves until SIGTERM or SIGINT, then drains and returns. SIGHUP reads certificates and access
// rules again. Messages and the access log go to standard error. Call it before any other thread is
// started: it blocks these signals for the whole process. Throws what HttpServer throws.
void serve(const ServeOptions& options);

}  // namespace bundle::registry
