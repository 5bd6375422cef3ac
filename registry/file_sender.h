// Sends large files over plain connections. libmicrohttpd sends 128 KiB in each turn of its event
// loop and corks, uncorks and polls around each; here a turn is what the socket takes, up to 2 MiB.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "io/unique_fd.h"
#include "registry/answer.h"

namespace bundle::registry {

// A few threads, each with its own epoll set; a thread waits while a cold file is read.
// Thread-safe.
class FileSender {
 public:
  // Smaller answers are worth no connection of their own (below).
  static constexpr std::uint64_t kMinBytes = 4 * 1024 * 1024;
  // False: the client went away, the file became shorter, or the sender is going.
  using Done = std::function<void(bool complete)>;

  // Throws Error{internal} when the system gives no epoll set.
  explicit FileSender(unsigned threads);
  // Ends what is being sent, with Done(false).
  ~FileSender();
  FileSender(const FileSender&) = delete;
  FileSender& operator=(const FileSender&) = delete;

  // `ends`: the stream is ended after the answer, and the client is waited for to do the same; the
  // head must say that the connection closes.
  enum class Stream : std::uint8_t { goes_on, ends };
  // Sends `head`, then `length` bytes of the file. `socket` is non-blocking, belongs to the caller
  // and is left alone from the call of `done` on, which comes from a thread of the sender.
  void send(int socket, std::string head, FileSlice file, std::uint64_t length, Stream stream,
            Done done);

 private:
  struct Job;
  struct Loop;
  static void run(Loop& loop);

  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<unsigned> next_{0};
};

}  // namespace bundle::registry
