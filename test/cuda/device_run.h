// Runs a case on the GPU between guard bytes and brings Y back.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <stdexcept>

#include "layer.h"

namespace blockrank::check {

inline void CheckCuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Device memory whose 256 bytes on either side must stay as they are; `shift` moves the start off its
// alignment.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(int64_t bytes, int64_t shift = 0);
  ~GuardedBuffer() { cudaFree(base_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  void* data() const { return base_ + kGuard + shift_; }
  void Write(const std::vector<uint8_t>& bytes);
  void Poison();  // NaN in every type
  std::vector<uint8_t> Read() const;
  bool GuardsIntact() const;

 private:
  static constexpr int64_t kGuard = 256;
  uint8_t* base_ = nullptr;
  int64_t bytes_, shift_;
};

// A case's tensors on the device with a plan for it.
class DeviceCase {
 public:
  explicit DeviceCase(const Case& c, int64_t shift = 0);
  ~DeviceCase() { blockrank_cuda_plan_destroy(plan_); }

  const blockrank_cuda_plan& plan() const { return *plan_; }
  const blockrank_cuda_tensors& tensors() const { return tensors_; }
  void* workspace() const { return workspace_.data(); }
  size_t workspace_bytes() const { return workspace_bytes_; }
  void ReplaceInput(const std::vector<uint8_t>& x) { x_.Write(x); }

  // The public entry point; throws with its message.
  void Launch(cudaStream_t stream) const;
  // Poisons Y and the scratch, runs `enqueue` on a stream, and returns Y's bytes; throws when a guard was
  // overwritten.
  std::vector<uint8_t> Run(const std::function<void(cudaStream_t)>& enqueue);
  std::vector<uint8_t> Run() {
    return Run([this](cudaStream_t stream) { Launch(stream); });
  }

 private:
  static blockrank_cuda_plan* MakePlan(const blockrank_cuda_layer& layer);
  static size_t WorkspaceBytes(const blockrank_cuda_plan* plan, int64_t tokens);

  const Case& case_;
  blockrank_cuda_plan* plan_;
  size_t workspace_bytes_;
  GuardedBuffer x_, v_, s_, u_, b_, v_scale_, u_scale_, y_, workspace_;
  blockrank_cuda_tensors tensors_;
};

}  // namespace blockrank::check
