#include "registry/serve.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <mutex>
#include <string>

#include "bundle/error.h"
#include "registry/request_limits.h"
#include "registry/service_notice.h"

namespace bundle::registry {
namespace {

// Besides connections and their files: uploads, the store's directories, epoll sets, pipes, logs.
constexpr rlim_t kSpareDescriptors = 256;

// Opens as many descriptors as the system lets us and takes no more connections than these serve:
// each may have one file open.
unsigned connections_within_limits(unsigned wanted, bool writable) {
  const rlim_t spare = kSpareDescriptors + (writable ? kMaxUploads : 0);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = static_cast<rlim_t>(wanted) * 3 + spare;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  const rlim_t usable = limit.rlim_cur > spare ? limit.rlim_cur - spare : 0;
  return static_cast<unsigned>(std::max<rlim_t>(usable / 3, 8));
}

sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

// Whole lines in one write each, so that lines of threads do not mix.
void write_stderr_line(std::string_view line) {
  static std::mutex mutex;
  const std::string text = std::string(line) + "\n";
  const std::lock_guard lock(mutex);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void reload(HttpServer& server, const ServerLog& log) {
  try {
    server.reload();
    log.message("certificates and access rules read again");
  } catch (const Error& error) {
    log.message("not all was read again, the old stays: " + error.message());
  }
}

}  // namespace

void serve(const ServeOptions& options) {
  const sigset_t signals = block_signals();
  FileSystem& fs = posix_file_system();
  const ServerLog log(options.log_form, options.log_requests, &write_stderr_line);
  ServerOptions server_options = options.server;
  server_options.max_connections =
      connections_within_limits(server_options.max_connections, options.server.push.has_value());
  if (server_options.max_connections < options.server.max_connections) {
    log.message(fmt::format("the limit for open files allows {} connections only",
                            server_options.max_connections));
  }
  HttpServer server(server_options, store::SiteStore::open(fs, options.store), log);
  const auto catalog = server.catalog().current();
  log.message(fmt::format("serving {} on {}://{}, {} releases, tags follow {}",
                          options.store.string(), server_options.tls ? "https" : "http",
                          server.address(), catalog->releases.size(),
                          catalog->leading.value_or("none")));
  if (options.port_file) {
    write_file_atomically(fs, *options.port_file, as_bytes(fmt::format("{}\n", server.port())));
  }
  notify_service_manager("READY=1");
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      notify_service_manager("RELOADING=1");
      reload(server, log);
      notify_service_manager("READY=1");
      continue;
    }
    log.message("stopping");
    notify_service_manager("STOPPING=1");
    if (!server.drain(options.drain_limit)) log.message("some answers were cut");
    return;
  }
}

}  // namespace bundle::registry
