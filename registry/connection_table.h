// The open connections, and the watch over clients that hold them without using them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>

#include "registry/handshake_watch.h"
#include "registry/metrics.h"

namespace bundle::registry {

// One accepted connection. Its worker thread writes the atomics, the watch reads them.
struct Connection {
  int socket = -1;   // owned by the HTTP library
  std::string peer;  // "192.0.2.7:41234"
  void* owner = nullptr;
  std::string certificate_name;  // of the verified client certificate; its worker's only

  enum class Phase : std::uint8_t { awaiting_request, receiving, answering, held_by_us };
  std::atomic<Phase> phase{Phase::awaiting_request};
  std::atomic<std::int64_t> phase_since_ms{0};

  std::unique_ptr<Handshake> handshake;  // with TLS

  // Its worker's only. Bytes read before the first request (a renewed connection had others), and
  // those of all requests since; `may_renew` is lost with a request whose bytes were not counted.
  std::uint64_t read_before = 0;
  std::uint64_t requested = 0;
  bool may_renew = true;

  // The watch's own notes on the current answer.
  std::int64_t window_since_ms = 0;
  std::uint64_t window_moved = 0;
  bool abandoned = false;  // at the last look

  void enter(Phase next);
  // When the connection begins, with its socket.
  void begin();
  // Nothing but the counted requests was read from the socket: no part of a next one is in the
  // memory of the HTTP library. False when in doubt.
  bool read_nothing_ahead() const;
};

struct ClientPatience {
  // A connection may take this long from its start, or from its last answer, until a whole request
  // is there. Ends idle connections and slow-loris clients alike.
  std::chrono::milliseconds request{60'000};
  // A body or an answer on its way must move at least `min_bytes` in each such window. The slowest
  // link worth serving (a 9600 baud modem) moves more.
  std::chrono::milliseconds window{60'000};
  std::uint64_t min_bytes = 32 * 1024;
};

// Cuts connections whose client is too slow. Thread-safe.
class ConnectionTable {
 public:
  ConnectionTable(ClientPatience patience, Metrics& metrics);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // The table does not own it; remove() before its socket is closed.
  void add(Connection& connection);
  void remove(Connection& connection);

 private:
  void watch();
  void inspect(Connection& connection, std::int64_t now_ms);

  ClientPatience patience_;
  Metrics& metrics_;
  std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  std::unordered_set<Connection*> connections_;
  std::thread thread_;
};

}  // namespace bundle::registry
