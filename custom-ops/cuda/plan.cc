// The C interface: checks layers and pointers, and turns CUDA errors into messages.
#include "plan.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <new>

namespace blockrank::cuda {
namespace {

// Scratch of a chunk. Beyond L2 it travels to memory and back, but shorter chunks fill the device less:
// measured on an H200, 1.5 was ahead of 0.6 for every layer of the benchmark, and 1024 tokens in two chunks
// behind one.
constexpr double kWorkspaceShareOfL2 = 2.0;
constexpr int64_t kChunkTokens = 256;  // chunks are multiples of the largest token tile

// Writes the message where the caller wants one, and passes the status on.
class Report {
 public:
  Report(char* message, size_t size) : message_(message), size_(message == nullptr ? 0 : size) {
    if (size_ > 0) message_[0] = '\0';
  }

  __attribute__((format(printf, 3, 4))) blockrank_cuda_status Fail(blockrank_cuda_status status,
                                                                   const char* format, ...) const {
    if (size_ > 0) {
      va_list arguments;
      va_start(arguments, format);
      vsnprintf(message_, size_, format, arguments);
      va_end(arguments);
    }
    return status;
  }

  blockrank_cuda_status Cuda(cudaError_t error, const char* what) const {
    const bool no_device = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
                           error == cudaErrorInvalidDevice || error == cudaErrorNoKernelImageForDevice;
    return Fail(no_device ? BLOCKRANK_CUDA_NO_DEVICE : BLOCKRANK_CUDA_CUDA_ERROR, "%s: %s (%s)", what,
                cudaGetErrorString(error), cudaGetErrorName(error));
  }

 private:
  char* message_;
  size_t size_;
};

// Makes a device current and restores the caller's.
class DeviceScope {
 public:
  explicit DeviceScope(int device) {
    error_ = cudaGetDevice(&previous_);
    if (error_ == cudaSuccess && previous_ != device) {
      error_ = cudaSetDevice(device);
      restore_ = error_ == cudaSuccess;
    }
  }
  ~DeviceScope() {
    if (restore_) cudaSetDevice(previous_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

  cudaError_t error() const { return error_; }

 private:
  int previous_ = 0;
  bool restore_ = false;
  cudaError_t error_;
};

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

blockrank_cuda_status CheckLayer(const blockrank_cuda_layer& l, const Report& report) {
  const auto invalid = BLOCKRANK_CUDA_INVALID_ARGUMENT;
  if (l.abi_version != BLOCKRANK_CUDA_ABI_VERSION)
    return report.Fail(invalid,
                       "layer.abi_version: expected %d, found %d; build both sides from one blockrank_cuda.h",
                       BLOCKRANK_CUDA_ABI_VERSION, l.abi_version);
  const auto in_range = [](int value, int last) { return value >= 0 && value <= last; };
  if (!in_range(l.structure, BLOCKRANK_CUDA_LOW_RANK) || !in_range(l.io_type, BLOCKRANK_CUDA_BFLOAT16) ||
      !in_range(l.factor_type, BLOCKRANK_CUDA_INT8) || !in_range(l.activation, BLOCKRANK_CUDA_SILU) ||
      !in_range(l.output_order, BLOCKRANK_CUDA_INTERLEAVED) || !in_range(l.bias, BLOCKRANK_CUDA_BIAS_SCALAR))
    return report.Fail(invalid,
                       "layer: structure, a type, activation, output_order or bias is no value of its enum");
  if (l.factor_type == BLOCKRANK_CUDA_INT8 && l.scale_type != BLOCKRANK_CUDA_FLOAT32 &&
      l.scale_type != BLOCKRANK_CUDA_FLOAT16)
    return report.Fail(invalid, "layer: scale_type of int8 factors must be float32 or float16");
  if (l.in < 1 || l.out < 1 || l.r < 1)
    return report.Fail(invalid, "layer: expected in, out and r of at least 1, found %lld, %lld and %lld",
                       static_cast<long long>(l.in), static_cast<long long>(l.out),
                       static_cast<long long>(l.r));
  const auto holds_all = [](int64_t blocks, int64_t features) {
    return blocks >= 1 && blocks <= 65535 && (blocks - 1) * CeilDiv(features, blocks) < features;
  };
  if (!holds_all(l.b_in, l.in) || !holds_all(l.b_out, l.out))
    return report.Fail(
        invalid,
        "layer: every block must hold a feature, found b_in %lld for in %lld and b_out %lld for out %lld",
        static_cast<long long>(l.b_in), static_cast<long long>(l.in), static_cast<long long>(l.b_out),
        static_cast<long long>(l.out));
  if (l.structure == BLOCKRANK_CUDA_LOW_RANK && (l.b_in != 1 || l.b_out != 1))
    return report.Fail(invalid, "layer: low rank has one block, found b_in %lld and b_out %lld",
                       static_cast<long long>(l.b_in), static_cast<long long>(l.b_out));
  if (l.structure != BLOCKRANK_CUDA_MONARCH && l.output_order != BLOCKRANK_CUDA_CONTIGUOUS)
    return report.Fail(invalid, "layer: output_order interleaved is for Monarch only");
  return BLOCKRANK_CUDA_OK;
}

cudaError_t ReadDevice(int ordinal, Device* device) {
  const auto read = [&](cudaDeviceAttr attribute, int* value) {
    return cudaDeviceGetAttribute(value, attribute, ordinal);
  };
  int major = 0, minor = 0, shared_bytes = 0, l2_bytes = 0;
  BLOCKRANK_RETURN_IF_ERROR(read(cudaDevAttrComputeCapabilityMajor, &major));
  BLOCKRANK_RETURN_IF_ERROR(read(cudaDevAttrComputeCapabilityMinor, &minor));
  BLOCKRANK_RETURN_IF_ERROR(read(cudaDevAttrMultiProcessorCount, &device->multiprocessors));
  BLOCKRANK_RETURN_IF_ERROR(read(cudaDevAttrMaxSharedMemoryPerBlockOptin, &shared_bytes));
  BLOCKRANK_RETURN_IF_ERROR(read(cudaDevAttrL2CacheSize, &l2_bytes));
  device->sm = major * 10 + minor;
  device->shared_bytes = shared_bytes;
  device->l2_bytes = l2_bytes;
  return ReadImage(device);
}

// z over t where both have one shape and the coupling reads all of t that its results replace: the scratch
// then stays in L2 for twice the tokens.
bool CouplesInPlace(const Plan& plan) {
  return plan.layer.b_in == plan.layer.b_out && plan.layer.b_in <= kTensorCouplingBlocks;
}

// Scratch elements of one token and their size.
int64_t BytesPerToken(const Plan& plan, Program program) {
  const blockrank_cuda_layer& l = plan.layer;
  const bool blast = l.structure == BLOCKRANK_CUDA_BLAST, general = program == Program::kGeneral;
  const int64_t t = (blast ? l.b_in : l.b_in * l.b_out) * l.r, z = blast ? l.b_out * l.r : 0;
  const bool one_buffer = blast && (program == Program::kBlast || program == Program::kDecode ||
                                    (program == Program::kTensor && CouplesInPlace(plan)));
  return (one_buffer ? z : t + z) * (general ? 4 : 2);
}

constexpr int64_t kWidenedAlignment = 256;
int64_t RoundUp(int64_t bytes) { return CeilDiv(bytes, kWidenedAlignment) * kWidenedAlignment; }

// Scratch of int8 factors that are widened for the GEMMs.
int64_t WidenedBytes(const Plan& plan, const Choice& choice) {
  if (plan.layer.factor_type != BLOCKRANK_CUDA_INT8 || choice.program != Program::kTensor) return 0;
  const FactorSizes sizes = SizesOf(plan.layer);
  return RoundUp(sizes.v * 2) + RoundUp(sizes.s * 2) + RoundUp(sizes.u * 2);
}

int64_t BytesPerCall(const Plan& plan, const Choice& choice, int64_t tokens) {
  return WidenedBytes(plan, choice) +
         BytesPerToken(plan, choice.program) * TokensPerChunk(plan, choice, tokens);
}

bool Aligned(const blockrank_cuda_tensors& t, const void* workspace) {
  const auto bits = reinterpret_cast<uintptr_t>(t.x) | reinterpret_cast<uintptr_t>(t.v) |
                    reinterpret_cast<uintptr_t>(t.s) | reinterpret_cast<uintptr_t>(t.u) |
                    reinterpret_cast<uintptr_t>(workspace);
  return bits % 16 == 0;
}

Choice GeneralChoice(const LayerShape& shape, const Device& device) {
  LayerShape unaligned = shape;
  unaligned.aligned = unaligned.float32 = false;
  return Choose(unaligned, device, 1);
}

blockrank_cuda_status CheckTensors(const Plan& plan, const blockrank_cuda_tensors& t, const Report& report) {
  const bool blast = plan.layer.structure == BLOCKRANK_CUDA_BLAST,
             biased = plan.layer.bias != BLOCKRANK_CUDA_NO_BIAS;
  if (t.x == nullptr || t.v == nullptr || t.u == nullptr || t.y == nullptr)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT, "tensors: x, v, u and y must not be null");
  if ((t.s != nullptr) != blast)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT, "tensors: s is for BLAST, and required there");
  const bool int8 = plan.layer.factor_type == BLOCKRANK_CUDA_INT8;
  if ((t.v_scale != nullptr) != int8 || (t.u_scale != nullptr) != int8)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT,
                       "tensors: v_scale and u_scale are for int8 factors, and required there");
  if ((t.b != nullptr) != biased)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT,
                       "tensors: b must be given exactly when the layer has a bias");
  return BLOCKRANK_CUDA_OK;
}

}  // namespace

LayerShape ShapeOf(const Plan& plan) {
  const blockrank_cuda_layer& l = plan.layer;
  const bool tensor_types = l.io_type == l.factor_type && l.io_type != BLOCKRANK_CUDA_FLOAT32;
  const bool int8 = l.factor_type == BLOCKRANK_CUDA_INT8 && l.io_type != BLOCKRANK_CUDA_FLOAT32;
  const int64_t step = int8 ? 16 : 8;
  const bool aligned = l.in % step == 0 && (l.b_in == 1 || plan.p % step == 0) && l.r % step == 0;
  const bool float32 = l.io_type == BLOCKRANK_CUDA_FLOAT32 && l.factor_type == BLOCKRANK_CUDA_FLOAT32 &&
                       l.in % 4 == 0 && (l.b_in == 1 || plan.p % 4 == 0) && l.r % 4 == 0;
  const bool even = plan.p * l.b_in == l.in && plan.q * l.b_out == l.out;
  return {l.structure, tensor_types, int8,    float32, aligned, even,  l.in,
          l.out,       l.b_in,       l.b_out, l.r,     plan.p,  plan.q};
}

FactorSizes SizesOf(const blockrank_cuda_layer& l) {
  const int64_t parts_in = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_out : 1,
                parts_out = l.structure == BLOCKRANK_CUDA_MONARCH ? l.b_in : 1;
  return {parts_in * l.r * l.in, l.structure == BLOCKRANK_CUDA_BLAST ? l.b_out * l.b_in * l.r : 0,
          l.out * parts_out * l.r};
}

int64_t TokensPerChunk(const Plan& plan, const Choice& choice, int64_t tokens) {
  if (choice.program == Program::kDecode) return kDecodeMaxTokens;
  const auto budget = static_cast<int64_t>(kWorkspaceShareOfL2 * static_cast<double>(plan.device.l2_bytes));
  const int64_t fitting = budget / BytesPerToken(plan, choice.program) / kChunkTokens * kChunkTokens;
  const int64_t most = std::max(fitting, kChunkTokens);
  // Chunks of equal size, so that the last one fills the device too.
  const int64_t chunks = CeilDiv(std::max<int64_t>(tokens, 1), most);
  return std::min(most, CeilDiv(CeilDiv(tokens, chunks), kChunkTokens) * kChunkTokens);
}

namespace {

cudaError_t EnqueueTensor(const Call& call, const Choice& choice) {
  const blockrank_cuda_layer& l = call.plan->layer;
  void* t = call.workspace;
  void* z = t;
  BLOCKRANK_RETURN_IF_ERROR(EnqueueTensorStage1(call, choice, t));
  if (l.structure == BLOCKRANK_CUDA_BLAST) {
    if (!CouplesInPlace(*call.plan)) z = static_cast<uint8_t*>(t) + call.tokens * l.b_in * l.r * 2;
    BLOCKRANK_RETURN_IF_ERROR(l.b_in <= kTensorCouplingBlocks ? EnqueueTensorCoupling(call, t, z)
                                                              : EnqueueGeneralCoupling(call, t, z));
  }
  return EnqueueTensorStage2(call, choice, z);
}

cudaError_t EnqueueChunk(const Call& call, const Choice& choice) {
  switch (choice.program) {
    case Program::kDecode:
      return EnqueueDecode(call);
    case Program::kBlast:
      BLOCKRANK_RETURN_IF_ERROR(EnqueueBlastStage1(call, choice));
      return EnqueueTensorStage2(call, choice, call.workspace);
    case Program::kTensor:
      return EnqueueTensor(call, choice);
    case Program::kGeneral:
      break;
  }
  return EnqueueGeneral(call);
}

}  // namespace

cudaError_t Enqueue(const Plan& plan, const Choice& choice, const blockrank_cuda_tensors& tensors,
                    int64_t tokens, void* workspace, cudaStream_t stream) {
  if (const int64_t widened = WidenedBytes(plan, choice); widened > 0) {
    // The same layer in 16 bits; its factors are written just before, so launches must not overlap.
    Plan wide = plan;
    wide.layer.factor_type = plan.layer.io_type;
    wide.layer.factors_may_change = 1;
    blockrank_cuda_tensors wide_tensors = tensors;
    BLOCKRANK_RETURN_IF_ERROR(
        EnqueueWiden({&plan, &tensors, 0, tokens, workspace, stream}, &wide_tensors, workspace));
    return Enqueue(wide, choice, wide_tensors, tokens, static_cast<uint8_t*>(workspace) + widened, stream);
  }
  const int64_t chunk = TokensPerChunk(plan, choice, tokens);
  for (int64_t token0 = 0; token0 < tokens; token0 += chunk)
    BLOCKRANK_RETURN_IF_ERROR(
        EnqueueChunk({&plan, &tensors, token0, std::min(chunk, tokens - token0), workspace, stream}, choice));
  return cudaSuccess;
}

}  // namespace blockrank::cuda

using namespace blockrank::cuda;

int32_t blockrank_cuda_abi_version(void) { return BLOCKRANK_CUDA_ABI_VERSION; }

blockrank_cuda_status blockrank_cuda_check_device(int32_t device, char* message, size_t message_size) {
  const Report report(message, message_size);
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return report.Cuda(error, "no usable CUDA driver");
  if (device < 0 || device >= count)
    return report.Fail(BLOCKRANK_CUDA_NO_DEVICE, "device: expected 0 … %d, found %d", count - 1, device);
  const DeviceScope scope(device);
  if (scope.error() != cudaSuccess) return report.Cuda(scope.error(), "cannot use the device");
  Device limits = {};
  const cudaError_t loaded = ReadDevice(device, &limits);
  return loaded == cudaSuccess ? BLOCKRANK_CUDA_OK : report.Cuda(loaded, "cannot load the kernels");
}

blockrank_cuda_status blockrank_cuda_plan_create(const blockrank_cuda_layer* layer,
                                                 blockrank_cuda_plan** plan, char* message,
                                                 size_t message_size) {
  const Report report(message, message_size);
  if (layer == nullptr || plan == nullptr)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT, "plan_create: layer and plan must not be null");
  *plan = nullptr;
  blockrank_cuda_status status = CheckLayer(*layer, report);
  if (status == BLOCKRANK_CUDA_OK) status = blockrank_cuda_check_device(layer->device, message, message_size);
  if (status != BLOCKRANK_CUDA_OK) return status;

  const DeviceScope scope(layer->device);
  if (scope.error() != cudaSuccess) return report.Cuda(scope.error(), "cannot use the device");
  std::unique_ptr<Plan> made(new (std::nothrow) Plan{*layer, CeilDiv(layer->in, layer->b_in),
                                                     CeilDiv(layer->out, layer->b_out), Device{}});
  if (made == nullptr) return report.Fail(BLOCKRANK_CUDA_OUT_OF_MEMORY, "plan_create: no host memory");
  cudaError_t error = ReadDevice(layer->device, &made->device);
  if (error == cudaSuccess) error = PrepareGeneral(*made);
  const LayerShape shape = ShapeOf(*made);
  if (error == cudaSuccess && CanUse(Program::kDecode, shape, made->device, 1)) error = PrepareDecode(*made);
  if (error == cudaSuccess && CanUse(Program::kTensor, shape, made->device, 1)) error = PrepareTensor(*made);
  if (error == cudaSuccess && CanUse(Program::kTensor, shape, made->device, 1))
    error = PrepareTensorCoupling(*made);
  if (error == cudaSuccess && CanUse(Program::kBlast, shape, made->device, 1)) error = PrepareBlast(*made);
  if (error != cudaSuccess) return report.Cuda(error, "cannot load the kernels");
  *plan = made.release();
  return BLOCKRANK_CUDA_OK;
}

void blockrank_cuda_plan_destroy(blockrank_cuda_plan* plan) { delete plan; }

blockrank_cuda_status blockrank_cuda_workspace_size(const blockrank_cuda_plan* plan, int64_t tokens,
                                                    size_t* bytes) {
  if (plan == nullptr || bytes == nullptr || tokens < 0) return BLOCKRANK_CUDA_INVALID_ARGUMENT;
  const LayerShape shape = ShapeOf(*plan);
  const int64_t chosen = BytesPerCall(*plan, Choose(shape, plan->device, tokens), tokens);
  const int64_t general = BytesPerCall(*plan, GeneralChoice(shape, plan->device), tokens);
  *bytes = tokens == 0 ? 0 : static_cast<size_t>(std::max(chosen, general));
  return BLOCKRANK_CUDA_OK;
}

blockrank_cuda_status blockrank_cuda_launch(const blockrank_cuda_plan* plan,
                                            const blockrank_cuda_tensors* tensors, int64_t tokens,
                                            void* workspace, size_t workspace_bytes, void* stream,
                                            char* message, size_t message_size) {
  const Report report(message, message_size);
  if (plan == nullptr || tensors == nullptr || tokens < 0)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT,
                       "launch: plan and tensors must not be null, tokens not negative");
  if (tokens == 0) return BLOCKRANK_CUDA_OK;
  if (stream == nullptr)
    return report.Fail(BLOCKRANK_CUDA_INVALID_ARGUMENT,
                       "launch: expected a stream, found the default stream (null)");
  const blockrank_cuda_status status = CheckTensors(*plan, *tensors, report);
  if (status != BLOCKRANK_CUDA_OK) return status;
  size_t needed = 0;
  blockrank_cuda_workspace_size(plan, tokens, &needed);
  if (workspace_bytes < needed || workspace == nullptr || reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
    return report.Fail(
        BLOCKRANK_CUDA_INVALID_ARGUMENT,
        "launch: expected a 256-byte aligned workspace of %zu bytes for %lld tokens, found %zu bytes at %p",
        needed, static_cast<long long>(tokens), workspace_bytes, workspace);

  const DeviceScope scope(plan->layer.device);
  if (scope.error() != cudaSuccess) return report.Cuda(scope.error(), "cannot use the device");
  const LayerShape shape = ShapeOf(*plan);
  const Choice choice =
      Aligned(*tensors, workspace) ? Choose(shape, plan->device, tokens) : GeneralChoice(shape, plan->device);
  const cudaError_t error =
      Enqueue(*plan, choice, *tensors, tokens, workspace, static_cast<cudaStream_t>(stream));
  return error == cudaSuccess ? BLOCKRANK_CUDA_OK : report.Cuda(error, choice.name);
}

blockrank_cuda_status blockrank_cuda_explain(const blockrank_cuda_plan* plan, int64_t tokens,
                                             blockrank_cuda_choice* choice) {
  if (plan == nullptr || choice == nullptr || tokens < 0) return BLOCKRANK_CUDA_INVALID_ARGUMENT;
  const LayerShape shape = ShapeOf(*plan);
  const Choice chosen = Choose(shape, plan->device, tokens);
  const int64_t chunk = TokensPerChunk(*plan, chosen, tokens);
  choice->kernel = chosen.name;
  choice->reason = chosen.reason;
  choice->launches = static_cast<int32_t>(chosen.launches * CeilDiv(tokens, chunk));
  choice->dense_is_faster = DenseIsFaster(shape, plan->device, tokens);
  return BLOCKRANK_CUDA_OK;
}
