// A fixed set of worker threads and a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace bundle {

// Runs submitted tasks on `threads` threads in submission order. submit() blocks while
// `queue_limit` tasks wait, so that a fast producer cannot fill memory. The destructor finishes
// what was submitted. Thread-safe.
class ThreadPool {
 public:
  ThreadPool(std::size_t threads, std::size_t queue_limit);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The future carries the task's result or its exception.
  template <typename Task>
  auto submit(Task task) -> std::future<std::invoke_result_t<Task>> {
    using Result = std::invoke_result_t<Task>;
    auto packaged = std::make_shared<std::packaged_task<Result()>>(std::move(task));
    auto future = packaged->get_future();
    enqueue([packaged] { (*packaged)(); });
    return future;
  }

  std::size_t size() const { return threads_.size(); }

 private:
  void enqueue(std::function<void()> task);
  void run();

  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<std::function<void()>> queue_;
  std::size_t queue_limit_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// Runs `work` on `count` threads and waits for all. The first failure sets the flag that every
// worker is given, and is rethrown when all have ended.
void run_workers(std::size_t count, const std::function<void(const std::atomic<bool>& stop)>& work);

// The number of workers to use when the user gives none: the cores, at least 2.
std::size_t default_workers();

}  // namespace bundle
