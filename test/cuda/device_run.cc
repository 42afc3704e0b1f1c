#include "device_run.h"

#include <algorithm>

namespace blockrank::check {
namespace {

constexpr uint8_t kGuardByte = 0xA5;

}  // namespace

GuardedBuffer::GuardedBuffer(int64_t bytes, int64_t shift) : bytes_(bytes), shift_(shift) {
  CheckCuda(cudaMalloc(&base_, bytes + shift + 2 * kGuard), "cudaMalloc");
  CheckCuda(cudaMemset(base_, kGuardByte, bytes + shift + 2 * kGuard), "cudaMemset");
}

void GuardedBuffer::Write(const std::vector<uint8_t>& bytes) {
  CheckCuda(cudaMemcpy(data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "copy to the device");
}

void GuardedBuffer::Poison() { CheckCuda(cudaMemset(data(), 0xFF, bytes_), "cudaMemset"); }

std::vector<uint8_t> GuardedBuffer::Read() const {
  std::vector<uint8_t> bytes(bytes_);
  CheckCuda(cudaMemcpy(bytes.data(), data(), bytes_, cudaMemcpyDeviceToHost), "copy from the device");
  return bytes;
}

bool GuardedBuffer::GuardsIntact() const {
  std::vector<uint8_t> before(kGuard + shift_), after(kGuard);
  CheckCuda(cudaMemcpy(before.data(), base_, before.size(), cudaMemcpyDeviceToHost), "read guard");
  CheckCuda(cudaMemcpy(after.data(), static_cast<uint8_t*>(data()) + bytes_, kGuard, cudaMemcpyDeviceToHost),
            "read guard");
  const auto intact = [](const std::vector<uint8_t>& guard) {
    return std::all_of(guard.begin(), guard.end(), [](uint8_t byte) { return byte == kGuardByte; });
  };
  return intact(before) && intact(after);
}

blockrank_cuda_plan* DeviceCase::MakePlan(const blockrank_cuda_layer& layer) {
  blockrank_cuda_plan* plan = nullptr;
  char message[256];
  if (blockrank_cuda_plan_create(&layer, &plan, message, sizeof message) != BLOCKRANK_CUDA_OK)
    throw std::runtime_error(message);
  return plan;
}

size_t DeviceCase::WorkspaceBytes(const blockrank_cuda_plan* plan, int64_t tokens) {
  size_t bytes = 0;
  if (blockrank_cuda_workspace_size(plan, tokens, &bytes) != BLOCKRANK_CUDA_OK)
    throw std::runtime_error("workspace_size failed");
  return bytes;
}

DeviceCase::DeviceCase(const Case& c, int64_t shift)
    : case_(c),
      plan_(MakePlan(c.layer)),
      workspace_bytes_(WorkspaceBytes(plan_, c.tokens)),
      x_(c.x.bytes.size(), shift),
      v_(c.v.bytes.size(), shift),
      s_(c.s.bytes.size(), shift),
      u_(c.u.bytes.size(), shift),
      b_(c.b.bytes.size(), shift),
      v_scale_(c.v_scale.bytes.size(), shift),
      u_scale_(c.u_scale.bytes.size(), shift),
      y_(c.tokens * c.layer.out * SizeOf(c.layer.io_type), shift),
      workspace_(workspace_bytes_) {
  x_.Write(c.x.bytes);
  v_.Write(c.v.bytes);
  s_.Write(c.s.bytes);
  u_.Write(c.u.bytes);
  b_.Write(c.b.bytes);
  v_scale_.Write(c.v_scale.bytes);
  u_scale_.Write(c.u_scale.bytes);
  tensors_ = {x_.data(),
              v_.data(),
              c.s.bytes.empty() ? nullptr : s_.data(),
              u_.data(),
              c.b.bytes.empty() ? nullptr : b_.data(),
              y_.data(),
              c.v_scale.bytes.empty() ? nullptr : v_scale_.data(),
              c.u_scale.bytes.empty() ? nullptr : u_scale_.data()};
}

void DeviceCase::Launch(cudaStream_t stream) const {
  char message[256];
  if (blockrank_cuda_launch(plan_, &tensors_, case_.tokens, workspace_.data(), workspace_bytes_, stream,
                            message, sizeof message) != BLOCKRANK_CUDA_OK)
    throw std::runtime_error(message);
}

std::vector<uint8_t> DeviceCase::Run(const std::function<void(cudaStream_t)>& enqueue) {
  y_.Poison();
  workspace_.Poison();
  CheckCuda(cudaDeviceSynchronize(), "before the launch");
  cudaStream_t stream;
  CheckCuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  enqueue(stream);
  CheckCuda(cudaStreamSynchronize(stream), Describe(case_).c_str());
  CheckCuda(cudaStreamDestroy(stream), "cudaStreamDestroy");
  for (const GuardedBuffer* buffer : {&x_, &v_, &s_, &u_, &b_, &v_scale_, &u_scale_, &y_, &workspace_})
    if (!buffer->GuardsIntact()) throw std::runtime_error("wrote outside of a buffer: " + Describe(case_));
  return y_.Read();
}

}  // namespace blockrank::check
