// Runs nodes on ONNX Runtime's own CPU threads, with memory from the session's allocator.
#include <algorithm>
#include <thread>

#include "cpu/block_matmul.h"
#include "cpu/isa.h"
#include "ops/backend.h"
#include "ops/ort_info.h"

namespace blockrank {
namespace {

class OrtHost : public Host {
 public:
  OrtHost(const abi::Functions& ort, abi::OrtKernelContext* context, abi::OrtAllocator* allocator)
      : ort_(ort), context_(context), allocator_(allocator) {}

  void ParallelFor(int64_t count, void (*task)(void*, size_t), void* user) override {
    const size_t total = static_cast<size_t>(count);
    if (total == 1) return task(user, 0);
    // It fails only without a context or a function, before any task has run.
    const std::string error =
        TakeError(ort_, ort_.KernelContext_ParallelFor(context_, task, total, size_t{0}, user));
    for (size_t i = 0; !error.empty() && i < total; ++i) task(user, i);
  }

  void* Allocate(size_t bytes) noexcept override {
    void* memory = nullptr;
    abi::OrtStatus* status = ort_.AllocatorAlloc(allocator_, bytes, &memory);
    if (status == nullptr) return memory;
    ort_.ReleaseStatus(status);
    return nullptr;
  }

  void Free(void* memory) noexcept override {
    abi::OrtStatus* status = ort_.AllocatorFree(allocator_, memory);
    if (status != nullptr) ort_.ReleaseStatus(status);
  }

 private:
  const abi::Functions& ort_;
  abi::OrtKernelContext* context_;
  abi::OrtAllocator* allocator_;
};

class CpuExecutor : public Executor {
 public:
  CpuExecutor(const abi::Functions& ort, abi::OrtAllocator* allocator) : ort_(ort), allocator_(allocator) {}
  ~CpuExecutor() override { ort_.ReleaseAllocator(allocator_); }

  std::string Run(const Problem& problem, abi::OrtKernelContext* context) override {
    OrtHost host(ort_, context, allocator_);
    // Asking costs a system call.
    static const int64_t threads = std::max(1u, std::thread::hardware_concurrency());
    if (BlockMatMul(problem, *ChosenIsa().kernels, host, threads)) return "";
    return "not enough memory for the intermediate values of " + std::to_string(problem.tokens) + " tokens";
  }

 private:
  const abi::Functions ort_;
  abi::OrtAllocator* allocator_;
};

// The engine for a node by what it asks to be computed in. Those of int8 and bfloat16 products are not built
// in yet: float32 takes their place, which is slower and more exact.
std::unique_ptr<Executor> Make(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                               const Problem& declared, std::string* error) {
  abi::OrtAllocator* allocator = nullptr;
  *error = TakeError(ort, ort.KernelInfoGetAllocator(info, abi::kMemDefault, &allocator));
  if (!error->empty()) return nullptr;
  switch (declared.compute) {
    case Compute::kInt8:
    case Compute::kBFloat16:
    case Compute::kFloat:
      break;
  }
  return std::make_unique<CpuExecutor>(ort, allocator);
}

}  // namespace

const Backend& CpuBackend() {
  static constexpr Backend backend{nullptr, false, true, Make};
  return backend;
}

}  // namespace blockrank
