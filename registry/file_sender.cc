#include "registry/file_sender.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "bundle/error.h"

namespace bundle::registry {
namespace {

constexpr std::uint64_t kTurnBytes = 2 * 1024 * 1024;
constexpr int kEvents = 64;
// No event tells that the last byte was acknowledged.
constexpr int kLookAgainMs = 5;

enum class Step : std::uint8_t { wait, complete, failed };

bool must_wait() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

struct FileSender::Job {
  int socket = -1;
  std::string head;
  std::size_t head_sent = 0;
  FileSlice file;
  std::uint64_t left = 0;
  Stream stream = Stream::ends;
  bool ended = false;  // everything is sent; the client has to end, too
  Done done;

  Step turn() {
    if (ended) return drain();
    while (head_sent < head.size()) {
      const ssize_t count = ::send(socket, head.data() + head_sent, head.size() - head_sent,
                                   MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
      if (count < 0) return must_wait() ? Step::wait : Step::failed;
      head_sent += static_cast<std::size_t>(count);
    }
    auto offset = static_cast<off_t>(file.offset);
    const ssize_t count =
        ::sendfile(socket, file.fd.get(), &offset, std::min<std::uint64_t>(left, kTurnBytes));
    if (count < 0) return must_wait() ? Step::wait : Step::failed;
    if (count == 0) return Step::failed;  // the file became shorter: never pad
    file.offset += static_cast<std::uint64_t>(count);
    left -= static_cast<std::uint64_t>(count);
    if (left > 0) return Step::wait;
    file.fd = UniqueFd();
    if (stream == Stream::goes_on) return Step::complete;
    ended = true;
    return ::shutdown(socket, SHUT_WR) == 0 ? Step::wait : Step::failed;
  }

  // Closing too early would reset the connection, and the client could lose the end of the answer.
  // It is safe when the client has closed, or has acknowledged everything and says nothing more.
  Step drain() const {
    std::array<char, 4096> rest{};
    const ssize_t count = ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
    if (count > 0) return Step::wait;  // what it still asks is not answered
    if (count == 0 || !must_wait()) return Step::complete;
    int unacknowledged = 1;
    const bool known = ::ioctl(socket, SIOCOUTQ, &unacknowledged) == 0;
    return known && unacknowledged == 0 ? Step::complete : Step::wait;
  }
};

struct FileSender::Loop {
  UniqueFd epoll;
  UniqueFd wake;
  std::mutex mutex;
  std::vector<std::unique_ptr<Job>> inbox;
  bool stopping = false;
  std::thread thread;

  void poke() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake.get(), &one, sizeof one);
  }
  bool watch(Job& job, int operation) const {
    epoll_event event{};
    event.events = job.ended ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
    event.data.ptr = &job;
    return ::epoll_ctl(epoll.get(), operation, job.socket, &event) == 0;
  }
};

FileSender::FileSender(unsigned threads) {
  for (unsigned i = 0; i < std::max(1u, threads); ++i) {
    auto loop = std::make_unique<Loop>();
    loop->epoll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    loop->wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN;
    if (!loop->epoll || !loop->wake ||
        ::epoll_ctl(loop->epoll.get(), EPOLL_CTL_ADD, loop->wake.get(), &event) != 0) {
      throw Error(ErrorCode::internal, "the system gives no epoll set",
                  "Check the limit of this user for open files.");
    }
    loops_.push_back(std::move(loop));
  }
  for (auto& loop : loops_) loop->thread = std::thread([&loop] { run(*loop); });
}

FileSender::~FileSender() {
  for (auto& loop : loops_) {
    {
      const std::lock_guard lock(loop->mutex);
      loop->stopping = true;
    }
    loop->poke();
  }
  for (auto& loop : loops_) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

void FileSender::send(int socket, std::string head, FileSlice file, std::uint64_t length,
                      Stream stream, Done done) {
  auto job = std::make_unique<Job>();
  job->socket = socket;
  job->head = std::move(head);
  job->file = std::move(file);
  job->left = length;
  job->stream = stream;
  job->done = std::move(done);
  Loop& loop = *loops_[next_.fetch_add(1, std::memory_order_relaxed) % loops_.size()];
  {
    const std::lock_guard lock(loop.mutex);
    loop.inbox.push_back(std::move(job));
  }
  loop.poke();
}

void FileSender::run(Loop& loop) {
  // sendfile(2) knows no MSG_NOSIGNAL: a client that left is an error here and no signal.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
  std::unordered_map<Job*, std::unique_ptr<Job>> jobs;
  const auto end = [&](Job* job, bool complete) {
    ::epoll_ctl(loop.epoll.get(), EPOLL_CTL_DEL, job->socket, nullptr);
    const auto owned = std::move(jobs.at(job));
    jobs.erase(job);
    owned->done(complete);
  };
  std::array<epoll_event, kEvents> events{};
  for (;;) {
    const bool any_ended =
        std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return job.second->ended; });
    const int count =
        ::epoll_wait(loop.epoll.get(), events.data(), kEvents, any_ended ? kLookAgainMs : -1);
    for (int i = 0; i < count; ++i) {
      auto* job = static_cast<Job*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (job == nullptr) continue;  // a poke: the inbox is looked at below
      if (job->ended) continue;      // looked at below
      const Step step = job->turn();
      if (step != Step::wait) {
        end(job, step == Step::complete);
      } else if (job->ended && !loop.watch(*job, EPOLL_CTL_MOD)) {
        end(job, true);
      }
    }
    std::vector<Job*> over;
    for (const auto& [job, owned] : jobs) {
      if (job->ended && job->turn() == Step::complete) over.push_back(job);
    }
    for (Job* job : over) end(job, true);
    std::uint64_t pokes = 0;
    [[maybe_unused]] const ssize_t read = ::read(loop.wake.get(), &pokes, sizeof pokes);
    std::vector<std::unique_ptr<Job>> fresh;
    bool stopping = false;
    {
      const std::lock_guard lock(loop.mutex);
      fresh.swap(loop.inbox);
      stopping = loop.stopping;
    }
    for (auto& job : fresh) {
      Job* raw = job.get();
      jobs.emplace(raw, std::move(job));
      if (!loop.watch(*raw, EPOLL_CTL_ADD)) end(raw, false);
    }
    while (stopping && !jobs.empty()) end(jobs.begin()->first, false);
    if (stopping) return;
  }
}

}  // namespace bundle::registry
