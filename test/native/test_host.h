// A host with its own threads, and memory that can run out.
#pragma once

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "cpu/host.h"

namespace blockrank::test {

class TestHost : public Host {
 public:
  explicit TestHost(int threads, long allocations = -1) : threads_(threads), allocations_(allocations) {}

  void ParallelFor(int64_t count, void (*task)(void*, size_t), void* user) override {
    std::atomic<int64_t> next{0};
    const auto work = [&] {
      for (int64_t i = next++; i < count; i = next++) task(user, static_cast<size_t>(i));
    };
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads_; ++i) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
  }

  void* Allocate(size_t bytes) noexcept override {
    if (allocations_ >= 0 && made_++ >= allocations_) return nullptr;
    ++live;
    return std::malloc(bytes);
  }
  void Free(void* memory) noexcept override {
    --live;
    std::free(memory);
  }

  std::atomic<long> live{0};

 private:
  const int threads_;
  const long allocations_;
  std::atomic<long> made_{0};
};

}  // namespace blockrank::test
