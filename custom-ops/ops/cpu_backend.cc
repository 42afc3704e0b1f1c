// Runs nodes on ONNX Runtime's own CPU threads, with memory from the session's allocator.
#include <algorithm>
#include <thread>

#include "cpu/block_matmul.h"
#include "cpu/isa.h"
#include "cpu/packed_matmul.h"
#include "ops/backend.h"
#include "ops/node.h"
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
  CpuExecutor(const abi::Functions& ort, abi::OrtAllocator* allocator, const PackedTable* table)
      : ort_(ort), allocator_(allocator), table_(table) {}
  ~CpuExecutor() override { ort_.ReleaseAllocator(allocator_); }

  /// Packs the factors once, where they and all sizes are known now.
  void Pack(const abi::OrtKernelInfo* info, Problem declared) {
    if (table_ == nullptr || !FitsPacked(declared) || !BindConstantFactors(ort_, info, &declared)) return;
    factors_ = std::make_unique<PackedFactors>(PackFactors(declared, *table_));
  }

  std::string Run(const Problem& problem, abi::OrtKernelContext* context) override {
    OrtHost host(ort_, context, allocator_);
    // Asking costs a system call.
    static const int64_t threads = std::max(1u, std::thread::hardware_concurrency());
    if (Run(problem, host, threads)) return "";
    return "not enough memory for the intermediate values of " + std::to_string(problem.tokens) + " tokens";
  }

 private:
  static bool FitsPacked(const Problem& problem) {
    const Dims& d = problem.dims;
    return std::min({d.in, d.out, d.b_in, d.b_out, d.rank}) > 0 &&
           (problem.compute != Compute::kInt8 || FitsInt8(d));
  }

  bool Run(const Problem& problem, Host& host, int64_t threads) const {
    if (table_ == nullptr || !FitsPacked(problem))
      return BlockMatMul(problem, *ChosenIsa().kernels, host, threads);
    if (factors_ != nullptr) return PackedMatMul(problem, *factors_, *table_, host, threads);
    return PackedMatMul(problem, PackFactors(problem, *table_), *table_, host, threads);
  }

  const abi::Functions ort_;
  abi::OrtAllocator* const allocator_;
  const PackedTable* const table_;  // null: products in float32
  std::unique_ptr<const PackedFactors> factors_;
};

// The engine for a node by what it asks to be computed in. A processor without bfloat16 products computes in
// float32, which is slower and more exact.
std::unique_ptr<Executor> Make(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                               const Problem& declared, std::string* error) {
  abi::OrtAllocator* allocator = nullptr;
  *error = TakeError(ort, ort.KernelInfoGetAllocator(info, abi::kMemDefault, &allocator));
  if (!error->empty()) return nullptr;
  const PackedTable* table = declared.compute == Compute::kFloat ? nullptr : ChosenPacked(declared.compute);
  auto executor = std::make_unique<CpuExecutor>(ort, allocator, table);
  executor->Pack(info, declared);
  return executor;
}

}  // namespace

const Backend& CpuBackend() {
  static constexpr Backend backend{nullptr, false, true, Make};
  return backend;
}

}  // namespace blockrank
