// Y = activation(X · Ŵᵀ + B) on CUDA for block low-rank Ŵ: the plain C interface of libblockrank_cuda.so.
//
// docs/operators.md defines the maths and the layouts; nothing of ONNX Runtime appears here. The order of use
// is plan_create (once per layer) → workspace_size → launch (any number of times, from any thread) →
// plan_destroy.
//
// Every function returns a status. Where it takes `message`, a failure also writes one sentence there (what
// was expected, what was found), cut to `message_size` bytes and always terminated; pass NULL and 0 to ignore
// it.
#ifndef BLOCKRANK_CUDA_H_
#define BLOCKRANK_CUDA_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define BLOCKRANK_CUDA_API __declspec(dllexport)
#else
#define BLOCKRANK_CUDA_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Grows by one whenever a struct or a function below changes in a way that a caller must know.
#define BLOCKRANK_CUDA_ABI_VERSION 4

typedef enum blockrank_cuda_status {
  BLOCKRANK_CUDA_OK = 0,
  BLOCKRANK_CUDA_INVALID_ARGUMENT = 1,  // the caller's shapes, types or pointers are wrong
  BLOCKRANK_CUDA_NO_DEVICE = 2,         // no driver, no such device, or no kernel image for its architecture
  BLOCKRANK_CUDA_CUDA_ERROR = 3,        // a CUDA call failed
  BLOCKRANK_CUDA_OUT_OF_MEMORY = 4      // host memory for a plan
} blockrank_cuda_status;

typedef enum blockrank_cuda_structure {
  BLOCKRANK_CUDA_BLAST = 0,    // V [r, in], S [b_out, b_in, r], U [out, r]
  BLOCKRANK_CUDA_MONARCH = 1,  // V [b_out, r, in], U [out, b_in, r]
  BLOCKRANK_CUDA_LOW_RANK = 2  // V [r, in], U [out, r]; b_in = b_out = 1
} blockrank_cuda_structure;

typedef enum blockrank_cuda_type {
  BLOCKRANK_CUDA_FLOAT32 = 0,
  BLOCKRANK_CUDA_FLOAT16 = 1,
  BLOCKRANK_CUDA_BFLOAT16 = 2,
  BLOCKRANK_CUDA_INT8 = 3  // V and U only: symmetric, with scales
} blockrank_cuda_type;

typedef enum blockrank_cuda_activation {
  BLOCKRANK_CUDA_NONE = 0,
  BLOCKRANK_CUDA_RELU = 1,
  BLOCKRANK_CUDA_GELU = 2,  // exact, erf
  BLOCKRANK_CUDA_GELU_TANH = 3,
  BLOCKRANK_CUDA_SILU = 4
} blockrank_cuda_activation;

typedef enum blockrank_cuda_order {
  BLOCKRANK_CUDA_CONTIGUOUS = 0,  // block i owns rows i·q … (i+1)·q − 1
  BLOCKRANK_CUDA_INTERLEAVED = 1  // block i owns rows i, i + b_out, i + 2·b_out, …; Monarch only
} blockrank_cuda_order;

typedef enum blockrank_cuda_bias {
  BLOCKRANK_CUDA_NO_BIAS = 0,
  BLOCKRANK_CUDA_BIAS_VECTOR = 1,  // [out]
  BLOCKRANK_CUDA_BIAS_SCALAR = 2   // [1], added to every output
} blockrank_cuda_bias;

// One layer. Every sum is accumulated in float32 whatever the types are. Set `abi_version` to
// BLOCKRANK_CUDA_ABI_VERSION.
typedef struct blockrank_cuda_layer {
  int32_t abi_version;
  int32_t device;  // CUDA ordinal
  blockrank_cuda_structure structure;
  blockrank_cuda_type io_type;      // X, B and Y
  blockrank_cuda_type factor_type;  // V, S and U; int8: V and U, while S and the scales are scale_type
  blockrank_cuda_type scale_type;   // of int8 factors: float32 or float16; otherwise ignored
  blockrank_cuda_activation activation;
  blockrank_cuda_order output_order;
  blockrank_cuda_bias bias;
  int64_t in, out;             // features of X's and of Y's last axis
  int64_t b_in, b_out;         // blocks of columns and of rows, 1 … 65535; every block must hold a feature
  int64_t r;                   // rank
  int32_t factors_may_change;  // 1: work of the stream may write V, S or U between two launches; 0: they are
                               // constants
  int32_t allow_tf32;          // 1: products of float32 by float32 may round their operands to tf32 (11 bits)
} blockrank_cuda_layer;

typedef struct blockrank_cuda_plan blockrank_cuda_plan;

// Device pointers of one call. int8 factors come with scales: V[ρ, c] = v_scale[j, ρ]·v[ρ, c] for c in block
// j, U[o, k] = u_scale[o]·u[o, k]; v_scale is [b_in, r] (Monarch: [b_out, b_in, r]), u_scale [out] (Monarch:
// [out, b_in]). X [tokens, in] and Y [tokens, out] are contiguous and must not overlap. S is NULL unless the
// structure is BLAST, B is NULL without a bias. X, V, S and U should be 16-byte aligned: others take a slower
// kernel.
typedef struct blockrank_cuda_tensors {
  const void* x;
  const void* v;
  const void* s;
  const void* u;
  const void* b;
  void* y;
  const void* v_scale;  // NULL unless the factors are int8
  const void* u_scale;
} blockrank_cuda_tensors;

// What a launch with so many tokens would run.
typedef struct blockrank_cuda_choice {
  const char* kernel;       // name of the dispatcher's row
  const char* reason;       // why that row
  int32_t launches;         // kernels per call
  int32_t dense_is_faster;  // 1: a dense GEMM of the library was measured faster for this shape; keep the
                            // layer dense
} blockrank_cuda_choice;

// The ABI version that the library was built with.
BLOCKRANK_CUDA_API int32_t blockrank_cuda_abi_version(void);

// OK when the driver is there, the device exists and this library holds code for it.
BLOCKRANK_CUDA_API blockrank_cuda_status blockrank_cuda_check_device(int32_t device, char* message,
                                                                     size_t message_size);

// Checks the layer, reads the device's limits and loads the kernels, so that a launch does neither.
// Thread-safe.
BLOCKRANK_CUDA_API blockrank_cuda_status blockrank_cuda_plan_create(const blockrank_cuda_layer* layer,
                                                                    blockrank_cuda_plan** plan, char* message,
                                                                    size_t message_size);

BLOCKRANK_CUDA_API void blockrank_cuda_plan_destroy(blockrank_cuda_plan* plan);

// Bytes of device scratch that a launch with `tokens` tokens needs; bounded for any number of tokens (twice
// the L2, more for layers whose intermediates of 256 tokens are larger). 0 is possible.
BLOCKRANK_CUDA_API blockrank_cuda_status blockrank_cuda_workspace_size(const blockrank_cuda_plan* plan,
                                                                       int64_t tokens, size_t* bytes);

// Enqueues the layer on `stream` (a cudaStream_t; NULL is refused, so that nothing lands on the default
// stream). Allocates nothing, never synchronizes, may be captured into a CUDA graph. `workspace` is 256-byte
// aligned device memory of `workspace_bytes`, free again when the stream has passed this call; two calls that
// may overlap need two workspaces.
//
// Unless the layer says `factors_may_change`, V, S and U are taken as constants: on sm_90 and later they may
// be read before earlier work of the stream has finished (X, B and Y are not), so they must not be written by
// a kernel just before on the same stream. With it, a launch begins after all earlier work, which costs the
// overlap.
BLOCKRANK_CUDA_API blockrank_cuda_status blockrank_cuda_launch(const blockrank_cuda_plan* plan,
                                                               const blockrank_cuda_tensors* tensors,
                                                               int64_t tokens, void* workspace,
                                                               size_t workspace_bytes, void* stream,
                                                               char* message, size_t message_size);

// The dispatcher's answer for so many tokens (with aligned pointers).
BLOCKRANK_CUDA_API blockrank_cuda_status blockrank_cuda_explain(const blockrank_cuda_plan* plan,
                                                                int64_t tokens,
                                                                blockrank_cuda_choice* choice);

#ifdef __cplusplus
}
#endif

#endif  // BLOCKRANK_CUDA_H_
