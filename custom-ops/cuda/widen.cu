// int8 factors widened to X's 16-bit type, for the GEMMs: V, S and U one after the other in scratch.
#include <algorithm>

#include "plan.h"
#include "ptx.cuh"
#include "types.cuh"

namespace blockrank::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kAlignment = 256;

// to[row, c] = scale · from[row, c], where scale(row, c) has one value for every `block` columns: at
// row·row_step + (c / block)·block_step, and in a Monarch V, whose rows come in groups of r, at group_step
// for each group more.
struct WidenScales {
  Scales values;
  int64_t block, row_step, block_step, group, group_step;
};

template <class T, class F>
__global__ void __launch_bounds__(kThreads)
    WidenKernel(const F* from, T* to, int64_t rows, int64_t columns, WidenScales s) {
  WaitForPreviousKernel();
  const int64_t count = rows * columns, stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    const int64_t row = i / columns, c = i % columns;
    const float scale =
        s.values[row / s.group * s.group_step + row % s.group * s.row_step + c / s.block * s.block_step];
    to[i] = FromFloat<T>(ToFloat(from[i]) * scale);
  }
}

template <class T, class F>
cudaError_t Widen(const Call& call, const void* from, T* to, int64_t rows, int64_t columns,
                  const WidenScales& scales) {
  const int64_t blocks =
      std::min<int64_t>((rows * columns + kThreads - 1) / kThreads, 8 * call.plan->device.multiprocessors);
  return LaunchKernel(call, WidenKernel<T, F>, dim3(static_cast<unsigned>(blocks)), kThreads, 0, 1,
                      static_cast<const F*>(from), to, rows, columns, scales);
}

template <class T>
cudaError_t EnqueueTyped(const Call& call, blockrank_cuda_tensors* wide, void* memory) {
  const blockrank_cuda_layer& l = call.plan->layer;
  const blockrank_cuda_tensors& t = *call.tensors;
  const FactorSizes sizes = SizesOf(l);
  const bool monarch = l.structure == BLOCKRANK_CUDA_MONARCH;
  const auto take = [&](int64_t elements) {
    T* place = static_cast<T*>(memory);
    memory = static_cast<uint8_t*>(memory) + (elements * 2 + kAlignment - 1) / kAlignment * kAlignment;
    return place;
  };
  T* v = take(sizes.v);
  T* s = take(sizes.s);
  T* u = take(sizes.u);
  const WidenScales of_v = {ScalesOf<Scales>(*call.plan, t.v_scale), call.plan->p, 1, l.r, l.r, l.b_in * l.r};
  const WidenScales of_u = {ScalesOf<Scales>(*call.plan, t.u_scale), l.r, monarch ? l.b_in : 1, 1, l.out, 0};
  BLOCKRANK_RETURN_IF_ERROR((Widen<T, int8_t>(call, t.v, v, monarch ? l.b_out * l.r : l.r, l.in, of_v)));
  BLOCKRANK_RETURN_IF_ERROR((Widen<T, int8_t>(call, t.u, u, l.out, monarch ? l.b_in * l.r : l.r, of_u)));
  if (sizes.s > 0) {
    const WidenScales none = {{nullptr, false}, l.r, 0, 0, 1, 0};
    const int64_t rows = l.b_out * l.b_in;
    BLOCKRANK_RETURN_IF_ERROR(l.scale_type == BLOCKRANK_CUDA_FLOAT16
                                  ? (Widen<T, __half>(call, t.s, s, rows, l.r, none))
                                  : (Widen<T, float>(call, t.s, s, rows, l.r, none)));
    wide->s = s;
  }
  wide->v = v;
  wide->u = u;
  wide->v_scale = wide->u_scale = nullptr;
  return cudaSuccess;
}

}  // namespace

cudaError_t EnqueueWiden(const Call& call, blockrank_cuda_tensors* wide, void* memory) {
  return WithHalfType(*call.plan, [&]<class T>() { return EnqueueTyped<T>(call, wide, memory); });
}

}  // namespace blockrank::cuda
