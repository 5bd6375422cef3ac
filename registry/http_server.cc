#include "registry/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>
#include <variant>

#include "bundle/error.h"
#include "registry/answer.h"
#include "registry/http_request.h"
#include "registry/http_response.h"
#include "registry/request_limits.h"

namespace bundle::registry {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kHtml = "text/html; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

// Nothing when it is no number; the HTTP library has refused such a request already.
std::optional<std::uint64_t> parse_length(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

unsigned worker_count(const ServerOptions& options) {
  if (options.workers != 0) return options.workers;
  return std::clamp(2 * std::thread::hardware_concurrency(), 4u, 32u);
}

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]");
}

}  // namespace

// The C entry points of the HTTP library. None lets an exception out.
struct HttpCallbacks {
  static void* request_line(void* closure, const char* uri, MHD_Connection* connection) {
    auto* server = static_cast<HttpServer*>(closure);
    try {
      auto request = std::make_unique<Request>();
      request->target = uri == nullptr ? "" : uri;
      request->route = parse_request_target(request->target);
      server->metrics_.request_started();
      if (Connection* known = connection_of(connection)) {
        known->enter(Connection::Phase::awaiting_request);
      }
      return request.release();
    } catch (const std::exception&) {
      return nullptr;
    }
  }

  static MHD_Result handle(void* closure, MHD_Connection* connection, const char* /*url*/,
                           const char* method, const char* version, const char* upload,
                           std::size_t* upload_size, void** context) {
    auto* server = static_cast<HttpServer*>(closure);
    auto* request = static_cast<Request*>(*context);
    if (request == nullptr) return MHD_NO;
    try {
      if (!request->headers_seen) {
        request->keeps_connection = std::string_view(version) == MHD_HTTP_VERSION_1_1;
        return begin(*server, connection, *request, method);
      }
      if (*upload_size != 0) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(upload);
        if (request->push ? !request->push->take({bytes, *upload_size}) : !request->ready) {
          return MHD_NO;
        }
        *upload_size = 0;
        return MHD_YES;
      }
      if (Connection* known = connection_of(connection); known != nullptr && request->push) {
        known->enter(Connection::Phase::answering);
      }
      return finish(*server, connection, *request);
    } catch (const std::exception& error) {
      server->log_.message(fmt::format("cannot answer {}: {}", request->target, error.what()));
      return MHD_NO;
    }
  }

  // All headers are there. An answer at this point makes the library close the connection after
  // it, which is right for a request with a body and for nothing else.
  static MHD_Result begin(HttpServer& server, MHD_Connection* connection, Request& request,
                          const char* method) {
    request.method = method;
    const HeaderScan scan = scan_headers(connection);
    if (server.log_.logs_requests()) request.user_agent = scan.user_agent;
    request.keeps_connection &= !scan.asks_to_close;
    if (Connection* known = connection_of(connection)) {
      known->enter(Connection::Phase::answering);
      known->requested += head_size(connection);
      known->may_renew &= !scan.has_body();
    }
    const bool readable = request.method == "GET" || request.method == "HEAD";
    if (scan.is_ambiguous() || (scan.has_body() && readable)) {
      request.headers_seen = true;
      return send(server, connection, request,
                  answer_failure({400, error_code::kUnsupported,
                                  "a request has one Host header, at most one Authorization "
                                  "header and at most one length; GET and HEAD have no body"}));
    }
    if (!readable && server.push_) return begin_push(server, connection, request, scan);
    request.headers_seen = true;
    if (!readable) {
      return send(server, connection, request,
                  answer_failure({405, error_code::kUnsupported,
                                  "this registry is read-only: only GET and HEAD"}));
    }
    return MHD_YES;
  }

  // Comes here again when the connection has slept for a password.
  static MHD_Result begin_push(HttpServer& server, MHD_Connection* connection, Request& request,
                               const HeaderScan& scan) {
    std::optional<std::uint64_t> length;
    if (!scan.transfer_encoding) {
      length = parse_length(scan.content_lengths == 0 ? "0" : scan.content_length);
    }
    const auto refuse = [&](Answer answer) {
      request.headers_seen = true;
      // A short body is taken to keep the connection; this way the client reads the answer, too.
      if (!length || *length > kMaxDiscardedBytes) {
        return send(server, connection, request, std::move(answer));
      }
      request.ready = std::move(answer);
      return MHD_YES;
    };
    if (const auto* failure = std::get_if<Failure>(&request.route)) {
      return refuse(answer_failure(*failure));
    }
    const Connection* known = connection_of(connection);
    const CallerOrWait caller = server.gatekeeper_.identify(
        scan.authorization, known == nullptr ? std::string() : known->certificate_name);
    if (const auto* given = std::get_if<NeedsPasswordCheck>(&caller);
        given != nullptr && !request.password_checked) {
      return wait_for_password(server, connection, request, *given);
    }
    if (!std::holds_alternative<Caller>(caller)) {
      return refuse(answer_failure(unauthorized("wrong credentials")));
    }
    const Admission admission{server.gatekeeper_.policy(), std::get<Caller>(caller)};
    request.user = admission.caller.name;
    auto begun = server.push_->begin(std::get<Route>(request.route), request.method,
                                     {scan.content_type, scan.content_range, length}, admission,
                                     *server.live_.current());
    if (auto* answer = std::get_if<Answer>(&begun)) return refuse(std::move(*answer));
    request.headers_seen = true;
    request.push = std::move(std::get<std::unique_ptr<PushWork>>(begun));
    if (Connection* receiving = connection_of(connection)) {
      receiving->enter(Connection::Phase::receiving);
    }
    return MHD_YES;
  }

  static MHD_Result finish_push(HttpServer& server, MHD_Connection* connection, Request& request) {
    if (request.ready) {
      Answer answer = std::move(*request.ready);
      request.push.reset();
      return send(server, connection, request, std::move(answer));
    }
    return sleep_until(server, connection, request, &HttpServer::pusher_,
                       [&request] { request.ready = request.push->finish(); });
  }

  static MHD_Result finish(HttpServer& server, MHD_Connection* connection, Request& request) {
    if (request.sent) return MHD_NO;  // closes the connection
    if (request.ready || request.push) return finish_push(server, connection, request);
    if (const auto* failure = std::get_if<Failure>(&request.route)) {
      return send(server, connection, request, answer_failure(*failure));
    }
    const Route& route = std::get<Route>(request.route);
    if (is_probe(route.kind)) return send(server, connection, request, answer_probe(server, route));
    const HeaderScan scan = scan_headers(connection);
    const Connection* known = connection_of(connection);
    CallerOrWait caller = server.gatekeeper_.identify(
        scan.authorization, known == nullptr ? std::string() : known->certificate_name);
    if (const auto* given = std::get_if<NeedsPasswordCheck>(&caller)) {
      if (!request.password_checked) {
        return wait_for_password(server, connection, request, *given);
      }
      caller = BadCredentials{};
    }
    if (!std::holds_alternative<Caller>(caller)) {
      return send(server, connection, request, answer_failure(unauthorized("wrong credentials")));
    }
    const Admission admission{server.gatekeeper_.policy(), std::get<Caller>(caller)};
    request.user = admission.caller.name;
    if (is_site_page(route.kind)) {
      return send(server, connection, request, answer_site_page(server, route, admission));
    }
    if (route.kind == RouteKind::upload) {
      return send(server, connection, request, answer_upload(server, request, route, admission));
    }
    const auto catalog = server.live_.current();
    AnswerOrWait result = answer_v2(route, request.method == "HEAD", request.verified, scan.wanted,
                                    admission, *catalog, server.pushed_, server.files_);
    if (auto* answer = std::get_if<Answer>(&result)) {
      return send(server, connection, request, std::move(*answer));
    }
    return wait_for_verification(server, connection, request, std::get<NeedsVerification>(result));
  }

  static Answer answer_upload(HttpServer& server, const Request& request, const Route& route,
                              const Admission& admission) {
    if (!server.push_ || route.reference.empty() || request.method != "GET") {
      return answer_failure({404, error_code::kUploadUnknown, "there is no upload here"});
    }
    if (!admission.policy().allows(admission.caller, Verb::push, route.full_name())) {
      return answer_failure(refusal(admission.caller));
    }
    return server.push_->upload_status(route, admission.caller);
  }

  static bool is_probe(RouteKind kind) {
    return kind == RouteKind::health || kind == RouteKind::ready;
  }
  static bool is_site_page(RouteKind kind) {
    return kind == RouteKind::metrics || kind == RouteKind::status_page;
  }

  // For machines that only want to know whether to restart this or to send clients here: open to
  // everybody, and without names of repositories.
  static Answer answer_probe(HttpServer& server, const Route& route) {
    if (route.kind == RouteKind::health) return answer_text(200, kJson, "{\"alive\":true}\n");
    const bool ready = server.site_.reasons_not_ready().empty();
    return answer_text(ready ? 200 : 503, kJson, server.site_.ready_json());
  }

  static Answer answer_site_page(HttpServer& server, const Route& route,
                                 const Admission& admission) {
    if (!admission.policy().allows_status(admission.caller)) {
      return answer_failure(refusal(admission.caller));
    }
    return route.kind == RouteKind::metrics
               ? answer_text(200, kPrometheus, server.site_.metrics_text())
               : answer_text(200, kHtml, server.site_.status_html());
  }

  // The connection sleeps while a thread of its own works; the worker goes on with others.
  template <typename Task>
  static MHD_Result sleep_until(HttpServer& server, MHD_Connection* connection, Request& request,
                                std::unique_ptr<ThreadPool> HttpServer::*pool, Task task) {
    const std::lock_guard lock(server.pools_mutex_);
    if (!(server.*pool)) {
      return send(server, connection, request,
                  answer_failure({503, error_code::kUnavailable, "the registry is stopping"}));
    }
    if (Connection* known = connection_of(connection)) known->enter(Connection::Phase::held_by_us);
    MHD_suspend_connection(connection);
    (server.*pool)->submit([connection, task] {
      task();
      MHD_resume_connection(connection);
    });
    return MHD_YES;
  }

  static MHD_Result wait_for_verification(HttpServer& server, MHD_Connection* connection,
                                          Request& request, const NeedsVerification& blob) {
    request.verified = true;
    return sleep_until(server, connection, request, &HttpServer::hasher_,
                       [&server, blob] { server.files_.verify(blob.digest, blob.facts); });
  }

  static MHD_Result wait_for_password(HttpServer& server, MHD_Connection* connection,
                                      Request& request, const NeedsPasswordCheck& given) {
    request.password_checked = true;
    if (server.waiting_passwords_.fetch_add(1) >= kMaxWaitingPasswords) {
      server.waiting_passwords_.fetch_sub(1);
      return send(server, connection, request,
                  answer_failure({429, error_code::kTooManyRequests,
                                  "too many passwords are being checked; try again"}));
    }
    return sleep_until(server, connection, request, &HttpServer::password_checker_,
                       [&server, given] {
                         server.gatekeeper_.check(given);
                         server.waiting_passwords_.fetch_sub(1);
                       });
  }

  static MHD_Result send(HttpServer& server, MHD_Connection* connection, Request& request,
                         Answer answer) {
    if (Connection* known = connection_of(connection)) known->enter(Connection::Phase::answering);
    const bool is_head = request.method == "HEAD";
    const bool tls = server.tls_ != nullptr;
    const bool close = server.draining_.load(std::memory_order_relaxed);
    request.status = answer.status;
    request.bytes = is_head || answer.status == 304 ? 0 : answer.content_length;
    if (!tls && request.bytes >= FileSender::kMinBytes &&
        std::holds_alternative<FileSlice>(answer.body)) {
      return send_large(server, connection, request, std::move(answer));
    }
    ResponsePtr response = make_response(std::move(answer), is_head, tls, close);
    if (!response) {
      Answer busy = answer_failure(
          {503, error_code::kUnavailable, "the registry is out of memory or file descriptors"});
      request.status = busy.status;
      request.bytes = busy.content_length;
      response = make_response(std::move(busy), is_head, tls, /*close_connection=*/true);
    }
    server.metrics_.count_answer(request.known_route(), request.status, request.bytes);
    if (!response) return MHD_NO;
    return MHD_queue_response(connection, request.status, response.get());
  }

  // The connection sleeps until the sender is done with its socket; then finish() closes it. The
  // client keeps its own: see ConnectionRenewal.
  static MHD_Result send_large(HttpServer& server, MHD_Connection* connection, Request& request,
                               Answer answer) {
    const auto* socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const std::lock_guard lock(server.pools_mutex_);
    if (socket == nullptr || !server.sender_) return MHD_NO;
    const Connection* known = connection_of(connection);
    const bool keep = request.keeps_connection && known != nullptr && known->read_nothing_ahead() &&
                      !server.draining_.load(std::memory_order_relaxed);
    server.metrics_.count_answer(request.known_route(), request.status, request.bytes);
    request.sent = true;
    MHD_suspend_connection(connection);
    server.sender_->send(
        socket->connect_fd, response_head(answer, /*close_connection=*/!keep),
        std::move(std::get<FileSlice>(answer.body)), answer.content_length,
        keep ? FileSender::Stream::goes_on : FileSender::Stream::ends,
        [&server, &request, connection, keep, fd = socket->connect_fd](bool complete) {
          request.sent_whole = complete;
          if (keep && complete) server.renewal_->renew(server.daemon_, fd);
          MHD_resume_connection(connection);
        });
    return MHD_YES;
  }

  static void completed(void* closure, MHD_Connection* connection, void** context,
                        MHD_RequestTerminationCode code) {
    auto* server = static_cast<HttpServer*>(closure);
    const std::unique_ptr<Request> request(static_cast<Request*>(std::exchange(*context, nullptr)));
    Connection* known = connection_of(connection);
    if (known != nullptr) known->enter(Connection::Phase::awaiting_request);
    if (!request) return;
    server->metrics_.request_ended();
    if (!server->log_.logs_requests()) return;
    try {
      RequestRecord record;
      record.peer = known == nullptr ? "unknown" : known->peer;
      record.method = request->method;
      record.target = request->target;
      record.status = request->status;
      record.bytes = request->bytes;
      record.duration_us = static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - request->began)
              .count());
      record.user_agent = request->user_agent;
      record.user = request->user;
      record.complete =
          request->sent ? request->sent_whole : code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
      server->log_.request(record);
    } catch (const std::exception&) {
      // A line of the access log is worth no connection.
    }
  }

  static void connection_changed(void* closure, MHD_Connection* connection, void** context,
                                 MHD_ConnectionNotificationCode code) {
    auto* server = static_cast<HttpServer*>(closure);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      const std::unique_ptr<Connection> gone(
          static_cast<Connection*>(std::exchange(*context, nullptr)));
      if (!gone) return;
      server->connections_.remove(*gone);
      server->metrics_.connection_closed();
      return;
    }
    try {
      const auto* socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
      if (socket == nullptr) return;
      auto fresh = std::make_unique<Connection>();
      fresh->socket = socket->connect_fd;
      fresh->owner = server;
      if (server->sender_) fresh->begin();
      if (server->log_.logs_requests()) fresh->peer = peer_text(connection);
      if (server->tls_ && !prepare_handshake(*server, connection, *fresh)) {
        ::shutdown(fresh->socket, SHUT_RDWR);
      }
      server->connections_.add(*fresh);
      server->metrics_.connection_opened();
      *context = fresh.release();
    } catch (const std::exception&) {
      *context = nullptr;
    }
  }

  // Before the handshake. False when the session cannot be told: then nobody may use it.
  static bool prepare_handshake(HttpServer& server, MHD_Connection* connection, Connection& fresh) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == nullptr || info->tls_session == nullptr) return false;
    auto* session = static_cast<gnutls_session_t>(info->tls_session);
    fresh.handshake =
        std::make_unique<Handshake>(*server.handshakes_, connection, session, fresh.socket);
    if (!server.client_certificates_) return true;
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_function(session, &HttpCallbacks::verify_client);
    return true;
  }

  // In the handshake; anything but 0 ends it.
  static int verify_client(gnutls_session_t session) {
    auto* raw = static_cast<MHD_Connection*>(gnutls_session_get_ptr(session));
    Connection* known = raw == nullptr ? nullptr : connection_of(raw);
    if (known == nullptr) return -1;
    try {
      const auto* server = static_cast<const HttpServer*>(known->owner);
      auto name = server->client_certificates_->verify(session);
      if (!name) return -1;
      known->certificate_name = std::move(*name);
      return 0;
    } catch (const std::exception&) {
      return -1;
    }
  }

  // libmicrohttpd puts its connection into the session; our server is found from there.
  static int certificate(gnutls_session_t session, const gnutls_datum_t* /*authorities*/,
                         int /*count*/, const gnutls_pk_algorithm_t* /*algorithms*/,
                         int /*algorithm_count*/, gnutls_pcert_st** chain, unsigned int* length,
                         gnutls_privkey_t* key) {
    auto* raw = static_cast<MHD_Connection*>(gnutls_session_get_ptr(session));
    const Connection* known = raw == nullptr ? nullptr : connection_of(raw);
    if (known == nullptr) return -1;
    const auto* server = static_cast<const HttpServer*>(known->owner);
    const TlsIdentity::Credentials credentials = server->tls_->current();
    *chain = credentials.chain;
    *length = credentials.chain_length;
    *key = credentials.key;
    return 0;
  }
};

HttpServer::HttpServer(const ServerOptions& options, std::shared_ptr<store::SiteStore> store,
                       const ServerLog& log)
    : log_(log),
      live_(std::move(store), options.store_interval,
            [&log](const std::string& text) { log.message(text); }),
      pushed_(live_.store().fs(), live_.store().root(), options.push.has_value()),
      files_(live_.store()),
      site_(live_, pushed_, files_, metrics_),
      scrubber_(live_, pushed_, files_, options.scrub_period,
                [&log](const std::string& text) { log.message(text); }),
      gatekeeper_(live_.store().fs(), options.access_file, /*may_push=*/options.push.has_value()),
      connections_(options.patience, metrics_) {
  if (options.tls) {
    handshakes_ = std::make_unique<HandshakeWatch>();
    tls_ = std::make_unique<TlsIdentity>(live_.store().fs(), options.tls->certificate,
                                         options.tls->key);
    if (options.tls->client_authorities) {
      client_certificates_ = std::make_unique<ClientCertificates>(live_.store().fs(),
                                                                  *options.tls->client_authorities);
    }
  }
  for (const std::string& problem : live_.current()->problems) log_.message(problem);
  for (const std::string& problem : pushed_.problems()) log_.message(problem);
  hasher_ = std::make_unique<ThreadPool>(2, std::max(1u, options.max_connections));
  password_checker_ = std::make_unique<ThreadPool>(1, kMaxWaitingPasswords);
  if (!tls_) {
    sender_ = std::make_unique<FileSender>(worker_count(options));
    renewal_ = std::make_unique<ConnectionRenewal>();
  }
  ListenSocket listener = open_listen_socket(options.listen);
  if (options.push) {
    if (!options.access_file && !is_loopback(listener.address)) {
      throw Error(ErrorCode::usage,
                  fmt::format("anybody who reaches {} could push", listener.address),
                  "Give --access FILE with rules for push, or listen on 127.0.0.1 only.");
    }
    push_ = std::make_unique<PushApi>(pushed_, files_, live_.store(), *options.push,
                                      [&log](const std::string& text) { log.message(text); });
    pusher_ = std::make_unique<ThreadPool>(2, std::max(1u, options.max_connections));
  }
  start(options, std::move(listener));
}

void HttpServer::start(const ServerOptions& options, ListenSocket listener) {
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
  if (tls_) flags |= MHD_USE_TLS;
  const unsigned workers = worker_count(options);
  const unsigned connections = std::max(options.max_connections, workers);
  const auto idle_seconds =
      static_cast<unsigned>(std::max<std::int64_t>(1, options.patience.window.count() / 1000));
  std::vector<MHD_OptionItem> tls_options;
  if (tls_) {
    tls_options.push_back(
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, reinterpret_cast<void*>(&HttpCallbacks::certificate)});
    tls_options.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0, const_cast<char*>(kTlsPriorities)});
  }
  tls_options.push_back({MHD_OPTION_END, 0, nullptr});
  // The library closes the socket that it is given, but only once it has started.
  const int own_listener = ::fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 0);
  daemon_ =
      MHD_start_daemon(flags, 0, nullptr, nullptr, &HttpCallbacks::handle, this,                //
                       MHD_OPTION_LISTEN_SOCKET, own_listener,                                  //
                       MHD_OPTION_THREAD_POOL_SIZE, workers,                                    //
                       MHD_OPTION_CONNECTION_LIMIT, connections,                                //
                       MHD_OPTION_PER_IP_CONNECTION_LIMIT, options.max_connections_per_peer,    //
                       MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,                             //
                       MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMaxHeaderBytes,                     //
                       MHD_OPTION_STRICT_FOR_CLIENT, 1,                                         //
                       MHD_OPTION_URI_LOG_CALLBACK, &HttpCallbacks::request_line, this,         //
                       MHD_OPTION_NOTIFY_COMPLETED, &HttpCallbacks::completed, this,            //
                       MHD_OPTION_NOTIFY_CONNECTION, &HttpCallbacks::connection_changed, this,  //
                       MHD_OPTION_ARRAY, tls_options.data(), MHD_OPTION_END);
  if (daemon_ == nullptr) {
    if (own_listener >= 0) ::close(own_listener);
    throw Error(ErrorCode::network,
                fmt::format("cannot start the HTTP server on {}", listener.address),
                "Check the limits of this user for threads, memory and open files.");
  }
  address_ = listener.address;
  port_ = listener.port;
}

HttpServer::~HttpServer() {
  draining_.store(true);
  std::unique_ptr<ThreadPool> hasher;
  std::unique_ptr<ThreadPool> password_checker;
  std::unique_ptr<ThreadPool> pusher;
  std::unique_ptr<FileSender> sender;
  {
    const std::lock_guard lock(pools_mutex_);
    hasher = std::move(hasher_);
    password_checker = std::move(password_checker_);
    pusher = std::move(pusher_);
    sender = std::move(sender_);
  }
  // Ends the running work; every suspended connection is awake afterwards.
  hasher.reset();
  password_checker.reset();
  pusher.reset();
  sender.reset();
  if (handshakes_) handshakes_->stop();
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

void HttpServer::reload() {
  if (tls_) tls_->reload();
  if (client_certificates_) client_certificates_->reload();
  gatekeeper_.reload();
}

bool HttpServer::drain(std::chrono::milliseconds limit) {
  draining_.store(true);
  const UniqueFd listener(MHD_quiesce_daemon(daemon_));
  const auto deadline = Clock::now() + limit;
  while (metrics_.in_flight() > 0) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace bundle::registry
