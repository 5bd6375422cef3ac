#include "registry/handshake_watch.h"

#include <microhttpd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "bundle/error.h"

namespace bundle::registry {

// The C entry points of the TLS library.
struct HandshakeCallbacks {
  static ssize_t read(gnutls_transport_ptr_t closure, void* buffer, std::size_t size) {
    auto& handshake = *static_cast<Handshake*>(closure);
    const ssize_t count = ::recv(handshake.socket_, buffer, size, 0);
    if (count >= 0) return count;
    const int reason = errno;
    const bool over = handshake.came_ && handshake.went_;
    if (!over && (reason == EAGAIN || reason == EWOULDBLOCK)) {
      handshake.watch_.wait_for(handshake);
    }
    gnutls_transport_set_errno(handshake.session_, reason);
    return -1;
  }

  static int finished(gnutls_session_t session, unsigned /*type*/, unsigned /*when*/,
                      unsigned incoming, const gnutls_datum_t* /*message*/) {
    auto& handshake = *static_cast<Handshake*>(gnutls_transport_get_ptr(session));
    (incoming != 0 ? handshake.came_ : handshake.went_) = true;
    return 0;
  }
};

Handshake::Handshake(HandshakeWatch& watch, MHD_Connection* connection, gnutls_session_t session,
                     int socket)
    : watch_(watch), connection_(connection), session_(session), socket_(socket) {
  gnutls_transport_ptr_t receiving = nullptr;
  gnutls_transport_ptr_t sending = nullptr;
  gnutls_transport_get_ptr2(session, &receiving, &sending);
  gnutls_transport_set_ptr2(session, this, sending);
  gnutls_transport_set_pull_function(session, &HandshakeCallbacks::read);
  gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST,
                                     &HandshakeCallbacks::finished);
}

HandshakeWatch::HandshakeWatch()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (!epoll_ || !wake_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    throw Error(ErrorCode::internal, "the system gives no epoll set",
                "Check the limit of this user for open files.");
  }
  thread_ = std::thread([this] { run(); });
}

HandshakeWatch::~HandshakeWatch() {
  stop();
}

void HandshakeWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const Handshake* handshake : waiting_) MHD_resume_connection(handshake->connection_);
    waiting_.clear();
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

// Called by the worker of the connection, in the middle of its handshake.
void HandshakeWatch::wait_for(Handshake& handshake) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || waiting_.contains(&handshake)) return;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
  event.data.ptr = &handshake;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, handshake.socket_, &event) != 0 &&
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, handshake.socket_, &event) != 0) {
    return;  // then it asks in a loop
  }
  waiting_.insert(&handshake);
  MHD_suspend_connection(handshake.connection_);
}

void HandshakeWatch::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (int i = 0; i < count; ++i) {
      auto* handshake = static_cast<Handshake*>(events.at(static_cast<std::size_t>(i)).data.ptr);
      if (waiting_.erase(handshake) != 0) MHD_resume_connection(handshake->connection_);
    }
  }
}

}  // namespace bundle::registry
