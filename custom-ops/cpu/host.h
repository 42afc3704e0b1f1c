// What the host lends to a computation: its threads and its memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace blockrank {

class Host {
 public:
  virtual ~Host() = default;
  /// Calls task(user, 0) … task(user, count − 1), on any threads, and returns when all are done.
  virtual void ParallelFor(int64_t count, void (*task)(void* user, size_t index), void* user) = 0;
  /// Null when there is no memory. Callable from tasks.
  virtual void* Allocate(size_t bytes) noexcept = 0;
  virtual void Free(void* memory) noexcept = 0;
};

/// Calls function(index) for each index below count, in parallel.
template <class Function>
void ForEach(Host& host, int64_t count, Function&& function) {
  using Plain = std::remove_reference_t<Function>;
  host.ParallelFor(
      count, [](void* user, size_t index) { (*static_cast<Plain*>(user))(static_cast<int64_t>(index)); },
      &function);
}

/// `count` floats, 64-byte aligned: the host's memory, or where they are few the object's own, for the host
/// takes a lock. data() is null when there was no memory.
class FloatBuffer {
 public:
  FloatBuffer(Host& host, int64_t count) : host_(host) {
    if (count <= kOwnFloats) return;
    constexpr size_t kAlignment = 64;
    memory_ = host.Allocate(static_cast<size_t>(count) * sizeof(float) + kAlignment);
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory_);
    data_ = memory_ == nullptr
                ? nullptr
                : reinterpret_cast<float*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }
  ~FloatBuffer() {
    if (memory_ != nullptr) host_.Free(memory_);
  }
  FloatBuffer(const FloatBuffer&) = delete;
  FloatBuffer& operator=(const FloatBuffer&) = delete;

  float* data() const { return data_; }

 private:
  static constexpr int64_t kOwnFloats = 1024;

  Host& host_;
  void* memory_ = nullptr;
  alignas(64) float own_[kOwnFloats];
  float* data_ = own_;
};

}  // namespace blockrank
