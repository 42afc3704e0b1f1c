// Decode, 1 … 8 tokens: two launches that stream V and U from memory once, straight into tensor-core
// fragments.
//
// The products run as m16n8k16 with the tokens as rows (the upper 8 of 16 stay empty) and 8 weight rows as
// columns. Since a sum may take k in any order, a lane uses 8 neighbouring elements of its row (one 16-byte
// load) as the fragments of two products over 32 columns; x is read with the same permutation. Weights pass
// through neither shared memory nor conversion.
#pragma once

#include "ptx.cuh"
#include "types.cuh"

namespace blockrank::cuda {

constexpr int kDecodeTokens = 16;  // rows of a product, of which the lower 8 are used
constexpr int kDecodeWarps = 8;
constexpr int kDecodeRows = 8;      // weight rows of one product
constexpr int kDecodeColumns = 32;  // columns of one step

// acc [token g][weight row 2t, 2t + 1] += x · w over 32 columns.
template <class T>
__device__ __forceinline__ void DecodeStep(float (&acc)[4], const uint4& x, const uint4& w) {
  const uint32_t a0[4] = {x.x, 0, x.y, 0}, a1[4] = {x.z, 0, x.w, 0};
  Mma16x8x16<T>(acc, a0, w.x, w.y);
  Mma16x8x16<T>(acc, a1, w.z, w.w);
}

// Weights in flight: each lane copies the 16 bytes that it will use itself into a ring in shared memory,
// kDecodeRing batches of kDecodeBatch steps ahead, so that the depth costs no registers and the order no
// barrier. 64 KB per block.
constexpr int kDecodeBatch = 8, kDecodeRing = 2;
constexpr int kDecodeRingBytes = kDecodeWarps * kDecodeRing * kDecodeBatch * 32 * 16;

// Slot of a lane for step `step` of its warp.
__device__ __forceinline__ uint32_t DecodeSlot(const void* ring, int step) {
  const int place = threadIdx.x / 32 * (kDecodeRing * kDecodeBatch) + step % (kDecodeRing * kDecodeBatch);
  return SharedAddress(ring) + (place * 32 + threadIdx.x % 32) * 16;
}

// A warp's range of steps over one row group, split evenly; a step is 32 columns of one block.
struct DecodeRange {
  int first, last;
  __device__ DecodeRange(int steps, int part, int parts) {
    const int each = (steps + parts - 1) / parts;
    first = min(part * each, steps);
    last = min(first + each, steps);
  }
};

template <class T>
struct DecodeStage1Params {
  const T* x;  // [tokens, in]
  const T* v;  // [rows, in]
  const T* s;  // [b_out, b_in, r], or null: t itself is the result
  T* z;        // [tokens, b_out, k]: k = r (BLAST, low rank) or b_in·r (Monarch)
  int tokens, b_in, b_out, p, r, rows;
  int64_t in;
};

// A lane's way through the columns of stage 1, 32 columns of one block a step; divisions happen once, in the
// constructor.
class DecodeCursor {
 public:
  __device__ DecodeCursor(int step, int steps_per_block, int p, int in, int t)
      : block_(step / steps_per_block),
        step_(step % steps_per_block),
        column_(block_ * p + step_ * kDecodeColumns + t * 8),
        steps_per_block_(steps_per_block),
        lane_steps_((p - t * 8 + kDecodeColumns - 1) / kDecodeColumns),
        skip_(p - steps_per_block * kDecodeColumns),
        in_(in) {}

  __device__ __forceinline__ bool valid() const {
    return step_ < lane_steps_ && column_ < in_;
  }  // widths are multiples of 8
  __device__ __forceinline__ bool block_ends() const { return step_ + 1 == steps_per_block_; }
  __device__ __forceinline__ int block() const { return block_; }
  __device__ __forceinline__ int column() const { return column_; }
  __device__ __forceinline__ void Advance() {
    const bool ends = block_ends();
    step_ = ends ? 0 : step_ + 1;
    block_ += ends;
    column_ += ends ? kDecodeColumns + skip_ : kDecodeColumns;
  }

 private:
  int block_, step_, column_, steps_per_block_, lane_steps_, skip_, in_;
};

// Stage 1 and the coupling. A block owns 8 rows ρ of V for all columns, so it has t_j[ρ] for every j and
// finishes z_i[ρ] = Σ_j S[i, j, ρ]·t_j[ρ] on chip. Warps split the columns evenly; segment (j, warp) of the
// sums has slot j + warp. Grid: rows / 8. Dynamic shared memory: DecodeSharedBytes of dispatch.h.
template <class T>
__global__ void __launch_bounds__(kDecodeWarps * 32, 2)
    DecodeStage1Kernel(const __grid_constant__ DecodeStage1Params<T> p) {
  extern __shared__ __align__(16) float shared[];
  constexpr int kTile = kDecodeTokens * kDecodeRows;
  float* partial = shared + kDecodeRingBytes / 4;            // [b_in + warps][16][8]
  float* t_all = partial + (p.b_in + kDecodeWarps) * kTile;  // [b_in][16][8]
  T* s_all = reinterpret_cast<T*>(t_all + p.b_in * kTile);   // [b_out][b_in][8]
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int row0 = blockIdx.x * kDecodeRows;
  const int steps_per_block = (p.p + kDecodeColumns - 1) / kDecodeColumns, steps = steps_per_block * p.b_in;
  const DecodeRange range(steps, warp, kDecodeWarps);
  const T* v_row = p.v + static_cast<int64_t>(row0 + g) * p.in;
  const T* x_row = p.x + g * p.in;
  const uint4 zero = make_uint4(0, 0, 0, 0);
  ReleaseNextKernel();

  DecodeCursor at(range.first, steps_per_block, p.p, static_cast<int>(p.in), t), ahead = at;
  int sent = range.first;
  const auto send_batch = [&] {
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d, ++sent, ahead.Advance()) {
      if (sent >= range.last) break;
      CopyAsync16(DecodeSlot(shared, sent - range.first), v_row + ahead.column(), ahead.valid());
    }
    CopyAsyncCommit();
  };
  if (p.s != nullptr)
    for (int i = threadIdx.x; i < p.b_out * p.b_in; i += blockDim.x)
      CopyAsync16(SharedAddress(s_all + i * kDecodeRows), p.s + static_cast<int64_t>(i) * p.r + row0, true);
#pragma unroll
  for (int batch = 0; batch < kDecodeRing; ++batch) send_batch();
  WaitForPreviousKernel();

  float acc[4] = {};
  int read = 0;
  for (int left = range.last - range.first; left > 0; left -= kDecodeBatch) {
    uint4 x[kDecodeBatch];  // all in flight together; asking for the next batch as well was slower
    DecodeCursor reading = at;
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d, reading.Advance()) {
      const bool valid = d < left && reading.valid();
      x[d] = valid && g < p.tokens ? Load16(x_row + reading.column()) : zero;
    }
    CopyAsyncWait<kDecodeRing - 1>();
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d, at.Advance()) {
      if (d >= left) break;
      DecodeStep<T>(acc, x[d], LoadShared16(DecodeSlot(shared, read + d)));
      if (at.block_ends() || d + 1 == left) {
        float* slot = partial + (at.block() + warp) * kTile;
        *reinterpret_cast<float2*>(slot + g * kDecodeRows + 2 * t) = make_float2(acc[0], acc[1]);
        acc[0] = acc[1] = acc[2] = acc[3] = 0.0f;
      }
    }
    read += kDecodeBatch;
    send_batch();
  }
  __syncthreads();

  const int each = (steps + kDecodeWarps - 1) / kDecodeWarps, live = p.tokens * kDecodeRows;
  for (int i = threadIdx.x; i < p.b_in * live; i += blockDim.x) {
    const int j = i / live, at = i % live;
    float sum = 0.0f;
    for (int w0 = j * steps_per_block / each; w0 <= ((j + 1) * steps_per_block - 1) / each; ++w0)
      sum += partial[(j + w0) * kTile + at];
    t_all[j * kTile + at] = sum;
  }
  CopyAsyncWait<0>();
  __syncthreads();

  // Rows of a group never straddle two blocks i of Monarch: r is a multiple of 8.
  if (p.s == nullptr) {
    const int i = row0 / p.r, rank0 = row0 % p.r, b_out = p.rows / p.r;
    for (int item = threadIdx.x; item < p.b_in * live; item += blockDim.x) {
      const int row = item % kDecodeRows, n = item / kDecodeRows % p.tokens, j = item / live;
      p.z[((static_cast<int64_t>(n) * b_out + i) * p.b_in + j) * p.r + rank0 + row] =
          FromFloat<T>(t_all[j * kTile + n * kDecodeRows + row]);
    }
    return;
  }
  for (int item = threadIdx.x; item < p.b_out * live; item += blockDim.x) {
    const int row = item % kDecodeRows, i = item / kDecodeRows % p.b_out, n = item / (kDecodeRows * p.b_out);
    const T* s = s_all + i * p.b_in * kDecodeRows + row;
    float sum = 0.0f;
#pragma unroll 4
    for (int j = 0; j < p.b_in; ++j)
      sum += ToFloat(s[j * kDecodeRows]) * t_all[j * kTile + n * kDecodeRows + row];
    p.z[(static_cast<int64_t>(n) * p.b_out + i) * p.r + row0 + row] = FromFloat<T>(sum);
  }
}

template <class T>
struct DecodeStage2Params {
  const T* z;  // [tokens, b_out, k]
  const T* u;  // [out, k]
  T* y;        // [tokens, out]
  int64_t out;
  int tokens, b_out, q, k;
  int row_stride;        // between neighbouring rows of a block: 1 (contiguous) or b_out (interleaved)
  int groups_per_block;  // ceil(q / 8)
  int splits;            // warps that share one row group's k: 1, 2, 4 or 8
  Epilogue<T> epilogue;
};

// Stage 2: y_i = U_i z_i. A warp owns 8 rows of one block i and 1 / splits of k. Its weights are asked for
// before the kernel waits for stage 1: as many as the ring holds.
template <class T>
__global__ void __launch_bounds__(kDecodeWarps * 32, 2)
    DecodeStage2Kernel(const __grid_constant__ DecodeStage2Params<T> p) {
  extern __shared__ __align__(16) float shared[];
  __shared__ float partial[kDecodeWarps][kDecodeTokens][kDecodeRows];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int groups_per_cta = kDecodeWarps / p.splits, group = blockIdx.x * groups_per_cta + warp / p.splits;
  const int i = group / p.groups_per_block, c0 = group % p.groups_per_block * kDecodeRows;
  const int64_t base = p.row_stride == 1 ? static_cast<int64_t>(i) * p.q : i;
  const int64_t row = base + static_cast<int64_t>(c0 + g) * p.row_stride;
  const bool row_valid = i < p.b_out && c0 + g < p.q && row < p.out;
  const DecodeRange range((p.k + kDecodeColumns - 1) / kDecodeColumns, warp % p.splits, p.splits);
  const T* u_row = p.u + row * p.k + t * 8;
  const int lane_last =
      min(range.last, (p.k - t * 8 + kDecodeColumns - 1) / kDecodeColumns);  // k is a multiple of 8
  const int weight_steps = row_valid ? lane_last : 0;
  const uint4 zero = make_uint4(0, 0, 0, 0);
  ReleaseNextKernel();

  int sent = range.first;
  const auto send_batch = [&] {
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d, ++sent) {
      if (sent >= range.last) break;
      CopyAsync16(DecodeSlot(shared, sent - range.first), u_row + sent * kDecodeColumns, sent < weight_steps);
    }
    CopyAsyncCommit();
  };
#pragma unroll
  for (int batch = 0; batch < kDecodeRing; ++batch) send_batch();
  WaitForPreviousKernel();

  float acc[4] = {};
  const T* z_row = p.z + (static_cast<int64_t>(g) * p.b_out + i) * p.k + t * 8;
  const int steps = i < p.b_out ? lane_last : 0, input_steps = g < p.tokens ? steps : 0;
  for (int first = range.first; first < range.last; first += kDecodeBatch) {
    uint4 z[kDecodeBatch];
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d)
      z[d] = first + d < input_steps ? Load16(z_row + (first + d) * kDecodeColumns) : zero;
    CopyAsyncWait<kDecodeRing - 1>();
#pragma unroll
    for (int d = 0; d < kDecodeBatch; ++d) {
      if (first + d >= range.last) break;
      DecodeStep<T>(acc, z[d], LoadShared16(DecodeSlot(shared, first - range.first + d)));
    }
    send_batch();
  }
  CopyAsyncWait<0>();
  *reinterpret_cast<float2*>(&partial[warp][g][2 * t]) = make_float2(acc[0], acc[1]);
  __syncthreads();

  for (int item = threadIdx.x; item < groups_per_cta * p.tokens * kDecodeRows; item += blockDim.x) {
    const int e = item % kDecodeRows, local = item / kDecodeRows % groups_per_cta,
              n = item / (kDecodeRows * groups_per_cta);
    const int block = (blockIdx.x * groups_per_cta + local) / p.groups_per_block;
    const int c = (blockIdx.x * groups_per_cta + local) % p.groups_per_block * kDecodeRows + e;
    const int64_t feature = (p.row_stride == 1 ? static_cast<int64_t>(block) * p.q : block) +
                            static_cast<int64_t>(c) * p.row_stride;
    if (block >= p.b_out || c >= p.q || feature >= p.out) continue;
    float sum = 0.0f;
    for (int part = 0; part < p.splits; ++part) sum += partial[local * p.splits + part][n][e];
    p.y[static_cast<int64_t>(n) * p.out + feature] = FromFloat<T>(p.epilogue(sum, feature));
  }
}

}  // namespace blockrank::cuda
