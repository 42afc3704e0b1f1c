// Runs nodes on a GPU: plans of libblockrank_cuda.so, launched on ONNX Runtime's stream with scratch from its
// arena.
#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "core/cuda_library.h"
#include "ops/backend.h"
#include "ops/cuda_layer.h"
#include "ops/node.h"
#include "ops/ort_info.h"

namespace blockrank {
namespace {

constexpr size_t kMessageBytes = 512;

using Plan = std::unique_ptr<blockrank_cuda_plan, decltype(&blockrank_cuda_plan_destroy)>;
/// in, out, b_in, b_out, r, size of the bias: what may differ between two runs of a node.
using PlanKey = std::array<int64_t, 6>;

bool IsDeclared(const Problem& problem) {
  const Dims& d = problem.dims;
  return std::min({d.in, d.out, d.b_in, d.b_out, d.rank}) > 0 && problem.bias_size >= 0;
}

/// Memory of the run's stream. ONNX Runtime hands it to another stream only after waiting for this one, so
/// that it may be freed as soon as the launch is enqueued. Memory straight from the allocator would not have
/// that.
class Scratch {
 public:
  Scratch(const abi::Functions& ort, abi::OrtAllocator* allocator) : ort_(ort), allocator_(allocator) {}
  ~Scratch() {
    if (data_ != nullptr) TakeError(ort_, ort_.AllocatorFree(allocator_, data_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string Allocate(abi::OrtKernelContext* context, const abi::OrtMemoryInfo* memory, size_t bytes) {
    return TakeError(ort_, ort_.KernelContext_GetScratchBuffer(context, memory, bytes, &data_));
  }
  void* data() const { return data_; }

 private:
  const abi::Functions& ort_;
  abi::OrtAllocator* allocator_;
  void* data_ = nullptr;
};

class CudaExecutor : public Executor {
 public:
  explicit CudaExecutor(const abi::Functions& ort) : ort_(ort), library_(LoadCudaLibrary()) {}
  ~CudaExecutor() override {
    if (allocator_ != nullptr) ort_.ReleaseAllocator(allocator_);
  }

  // Everything slow happens here where the shapes are known: a first run may be the one that is captured into
  // a graph.
  std::string Prepare(const abi::OrtKernelInfo* info, const Problem& declared) {
    std::string error = TakeError(ort_, ort_.KernelInfoGetAllocator(info, abi::kMemDefault, &allocator_));
    if (error.empty()) error = TakeError(ort_, ort_.AllocatorGetInfo(allocator_, &memory_));
    if (error.empty()) error = TakeError(ort_, ort_.MemoryInfoGetId(memory_, &device_));
    if (!error.empty()) return error;
    Problem factors = declared;
    factors_may_change_ = !BindConstantFactors(ort_, info, &factors);
    if (IsDeclared(declared)) return FindPlan(declared, nullptr);
    char message[kMessageBytes];
    const bool usable = library_.check_device(device_, message, sizeof message) == BLOCKRANK_CUDA_OK;
    return usable ? "" : Error(message, declared);
  }

  std::string Run(const Problem& problem, abi::OrtKernelContext* context) override {
    const blockrank_cuda_plan* plan = nullptr;
    std::string error = FindPlan(problem, &plan);
    void* stream = nullptr;
    if (error.empty()) error = TakeError(ort_, ort_.KernelContext_GetGPUComputeStream(context, &stream));
    size_t bytes = 0;
    if (error.empty() && library_.workspace_size(plan, problem.tokens, &bytes) != BLOCKRANK_CUDA_OK)
      error = Error("no workspace size", problem);
    Scratch scratch(ort_, allocator_);
    bytes = std::max<size_t>(bytes, 1);  // the launch wants an address even where it needs no bytes
    if (error.empty()) error = scratch.Allocate(context, memory_, bytes);
    if (!error.empty()) return error;

    const blockrank_cuda_tensors tensors = {problem.x,    problem.v, problem.s,       problem.u,
                                            problem.bias, problem.y, problem.v_scale, problem.u_scale};
    char message[kMessageBytes];
    const auto status = library_.launch(plan, &tensors, problem.tokens, scratch.data(), bytes, stream,
                                        message, sizeof message);
    return status == BLOCKRANK_CUDA_OK ? "" : Error(message, problem);
  }

 private:
  std::string Error(const std::string& text, const Problem& problem) const {
    return text + " (CUDA device " + std::to_string(device_) + "; " + Show(problem) + ")";
  }

  // The plan for the problem's sizes, made at their first use. Sessions run a node on several threads at
  // once.
  std::string FindPlan(const Problem& problem, const blockrank_cuda_plan** found) {
    const Dims& d = problem.dims;
    const PlanKey key = {d.in, d.out, d.b_in, d.b_out, d.rank, problem.bias_size};
    const std::lock_guard<std::mutex> lock(mutex_);
    auto plan = plans_.find(key);
    if (plan == plans_.end()) {
      const blockrank_cuda_layer layer = CudaLayer(problem, device_, factors_may_change_);
      blockrank_cuda_plan* made = nullptr;
      char message[kMessageBytes];
      if (library_.plan_create(&layer, &made, message, sizeof message) != BLOCKRANK_CUDA_OK)
        return Error(message, problem);
      plan = plans_.emplace(key, Plan(made, library_.plan_destroy)).first;
    }
    if (found != nullptr) *found = plan->second.get();
    return "";
  }

  const abi::Functions ort_;
  const CudaLibrary& library_;
  abi::OrtAllocator* allocator_ = nullptr;
  const abi::OrtMemoryInfo* memory_ = nullptr;  // the allocator's own
  int device_ = 0;
  bool factors_may_change_ = false;
  std::mutex mutex_;
  std::map<PlanKey, Plan> plans_;
};

std::unique_ptr<Executor> Make(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                               const Problem& declared, std::string* error) {
  auto executor = std::make_unique<CudaExecutor>(ort);
  *error = executor->Prepare(info, declared);
  if (!error->empty()) return nullptr;
  return executor;
}

}  // namespace

const Backend* CudaBackend() {
  static constexpr Backend backend{"CUDAExecutionProvider", true, false, Make};
  return LoadCudaLibrary().error.empty() ? &backend : nullptr;
}

}  // namespace blockrank
