#include "pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace blockrank::linalg {
namespace {

// Products of one factorization follow each other within microseconds, and waking a thread takes fifty.
constexpr std::chrono::microseconds kSpin(60);

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

thread_local bool inside = false;

class Pool {
 public:
  void Resize(int count) {
    const std::lock_guard<std::mutex> lock(turn_);
    wanted_ = std::clamp(count, 1, 256) - 1;
  }

  void Run(int64_t count, const std::function<void(int64_t)>& body) {
    std::unique_lock<std::mutex> lock(turn_, std::defer_lock);
    if (count <= 1 || inside || !lock.try_lock() || wanted_ == 0) {
      for (int64_t i = 0; i < count; ++i) body(i);
      return;
    }
    Start();
    body_ = &body;
    count_ = count;
    next_ = 0;
    open_ = true;
    generation_.fetch_add(1);
    if (sleeping_ > 0) Wake();
    Work();
    open_ = false;
    // A worker that counts itself in from here on finds the call closed.
    for (int spins = 0; active_ > 0; ++spins) spins < 1000 ? Pause() : std::this_thread::yield();
  }

 private:
  void Start() {
    for (; started_ < wanted_; ++started_) std::thread([this, index = started_] { Serve(index); }).detach();
  }

  void Wake() {
    const std::lock_guard<std::mutex> lock(sleep_);
    wake_.notify_all();
  }

  void Serve(int index) {
    inside = true;
    for (uint64_t seen = 0;;) {
      seen = Await(seen);
      active_.fetch_add(1);
      if (open_ && index < wanted_) Work();
      active_.fetch_sub(1);
    }
  }

  uint64_t Await(uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    while (std::chrono::steady_clock::now() < until) {
      for (int i = 0; i < 32; ++i, Pause())
        if (generation_ != seen) return generation_;
    }
    std::unique_lock<std::mutex> lock(sleep_);
    ++sleeping_;
    wake_.wait(lock, [&] { return generation_ != seen; });
    --sleeping_;
    return generation_;
  }

  void Work() {
    const bool outer = inside;
    inside = true;
    for (int64_t i; (i = next_.fetch_add(1)) < count_;) (*body_)(i);
    inside = outer;
  }

  std::mutex turn_;
  std::atomic<int> wanted_{static_cast<int>(std::max(1u, std::thread::hardware_concurrency())) - 1};
  int started_ = 0;
  const std::function<void(int64_t)>* body_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> open_{false};
  std::atomic<int> active_{0};
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleeping_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
};

// Never destroyed: its threads run until the process ends.
Pool& SharedPool() {
  static Pool* const pool = new Pool;
  return *pool;
}

}  // namespace

void SetThreads(int count) { SharedPool().Resize(count); }

void ParallelFor(int64_t count, const std::function<void(int64_t)>& body) { SharedPool().Run(count, body); }

}  // namespace blockrank::linalg
