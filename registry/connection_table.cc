#include "registry/connection_table.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>

namespace bundle::registry {
namespace {

std::int64_t now_milliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// TCP_CLOSE_WAIT. <linux/tcp.h> has tcp_info in full but not the states, <netinet/tcp.h> the
// reverse.
constexpr std::uint8_t kCloseWait = 8;

// Bytes that came from the client, or that it has acknowledged, since the connection began.
std::optional<std::uint64_t> moved_bytes(int socket, bool received) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return received ? info.tcpi_bytes_received : info.tcpi_bytes_acked;
}

// Bytes of the client that somebody has read from the socket. Never too few: what comes in between
// counts as read.
std::optional<std::uint64_t> read_bytes(int socket) {
  int unread = 0;
  if (::ioctl(socket, FIONREAD, &unread) != 0) return std::nullopt;
  const auto received = moved_bytes(socket, /*received=*/true);
  if (!received) return std::nullopt;
  return *received - static_cast<std::uint64_t>(unread);
}

// The client has hung up, and all that it sent was read.
bool is_abandoned(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  int unread = 0;
  return ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_state == kCloseWait && ::ioctl(socket, FIONREAD, &unread) == 0 && unread == 0;
}

}  // namespace

void Connection::enter(Phase next) {
  phase_since_ms.store(now_milliseconds(), std::memory_order_relaxed);
  phase.store(next, std::memory_order_release);
}

void Connection::begin() {
  const auto already = read_bytes(socket);
  may_renew = already.has_value();
  read_before = already.value_or(0);
}

bool Connection::read_nothing_ahead() const {
  return may_renew && read_bytes(socket) == read_before + requested;
}

ConnectionTable::ConnectionTable(ClientPatience patience, Metrics& metrics)
    : patience_(patience), metrics_(metrics), thread_([this] { watch(); }) {}

ConnectionTable::~ConnectionTable() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_changed_.notify_all();
  thread_.join();
}

void ConnectionTable::add(Connection& connection) {
  connection.enter(Connection::Phase::awaiting_request);
  const std::lock_guard lock(mutex_);
  connections_.insert(&connection);
}

void ConnectionTable::remove(Connection& connection) {
  const std::lock_guard lock(mutex_);
  connections_.erase(&connection);
}

void ConnectionTable::watch() {
  // Often enough that a limit is kept to a quarter.
  const auto interval = std::clamp(std::min(patience_.request, patience_.window) / 4,
                                   std::chrono::milliseconds(10), std::chrono::milliseconds(1000));
  std::unique_lock lock(mutex_);
  while (!stop_changed_.wait_for(lock, interval, [this] { return stopping_; })) {
    const std::int64_t now = now_milliseconds();
    for (Connection* connection : connections_) inspect(*connection, now);
  }
}

// The socket is only shut down: its worker notices, cleans up and closes it.
void ConnectionTable::inspect(Connection& connection, std::int64_t now_ms) {
  const auto phase = connection.phase.load(std::memory_order_acquire);
  const std::int64_t since = connection.phase_since_ms.load(std::memory_order_relaxed);
  if (phase == Connection::Phase::awaiting_request) {
    if (now_ms - since <= patience_.request.count()) return;
    ::shutdown(connection.socket, SHUT_RDWR);
    metrics_.slow_client_dropped();
    connection.enter(Connection::Phase::held_by_us);  // counted once
    return;
  }
  if (phase == Connection::Phase::held_by_us) return;
  if (phase == Connection::Phase::receiving) {
    // libmicrohttpd misses the end of a body that comes together with the body's last bytes
    // (edge-triggered epoll, a short read). At two looks: the rest may just be on its way to it.
    const bool abandoned = is_abandoned(connection.socket);
    if (abandoned && connection.abandoned) {
      ::shutdown(connection.socket, SHUT_RDWR);
      connection.enter(Connection::Phase::held_by_us);
      return;
    }
    connection.abandoned = abandoned;
  }
  const auto moved = moved_bytes(connection.socket, phase == Connection::Phase::receiving);
  if (!moved) return;
  if (connection.window_since_ms < since) {  // another answer than at the last look
    connection.window_since_ms = now_ms;
    connection.window_moved = *moved;
    return;
  }
  if (now_ms - connection.window_since_ms < patience_.window.count()) return;
  if (*moved - connection.window_moved < patience_.min_bytes) {
    ::shutdown(connection.socket, SHUT_RDWR);
    metrics_.slow_client_dropped();
    connection.enter(Connection::Phase::held_by_us);
    return;
  }
  connection.window_since_ms = now_ms;
  connection.window_moved = *moved;
}

}  // namespace bundle::registry
