// Decode, 1 … 8 tokens: two launches that stream V and U from memory once, straight into tensor-core
// fragments.
//
// The products run as m16n8k16 with the tokens as rows (the upper 8 of 16 stay empty) and 8 weight rows as
// columns. Since a sum may take k in any order, a lane uses the 16 bytes of its row that it loads itself as
// the fragments of two products (16-bit weights) or four (int8); x is read with the same permutation.
#pragma once

#include "ptx.cuh"
#include "types.cuh"

namespace blockrank::cuda {

constexpr int kDecodeTokens = 8;
constexpr int kDecodeWarps = 8;
constexpr int kDecodeRows = 8;  // weight rows of one product
// Weights in flight: each lane copies the 16 bytes that it will use itself into a ring in shared memory,
// kDecodeRing batches of kDecodeBatch steps ahead, so that the depth costs no registers and the order no
// barrier.
constexpr int kDecodeBatch = 8, kDecodeRing = 2;
constexpr int kDecodeRingBytes = kDecodeWarps * kDecodeRing * kDecodeBatch * 32 * 16;

template <class W>
constexpr int kDecodeColumns = 64 / sizeof(W);  // of one step: 16 bytes of weights for each of 4 lanes

// Four int8 to two pairs of T, exactly.
__device__ __forceinline__ void Widen(uint32_t v, uint32_t (&pairs)[2], __half) {
  const uint32_t u = v ^ 0x80808080u;  // + 128: 0x6400 | u is the half 1024 + u
  const __half2 offset = __floats2half2_rn(1152.0f, 1152.0f);
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const uint32_t raised = __byte_perm(u, 0x64646464u, k == 0 ? 0x4140 : 0x4342);
    const __half2 pair = __hsub2(*reinterpret_cast<const __half2*>(&raised), offset);
    pairs[k] = *reinterpret_cast<const uint32_t*>(&pair);
  }
}
__device__ __forceinline__ void Widen(uint32_t v, uint32_t (&pairs)[2], __nv_bfloat16) {
  const uint32_t u = v ^ 0x80808080u;  // 0x4B000000 | u is the float 2²³ + u
  const auto value = [&](uint32_t selector) {
    return __uint_as_float(__byte_perm(u, 0x4B000000u, selector)) - 8388736.0f;
  };
  pairs[0] = Pack2<__nv_bfloat16>(value(0x7440), value(0x7441));
  pairs[1] = Pack2<__nv_bfloat16>(value(0x7442), value(0x7443));
}

// The sum of both acc [token g][weight row 2t, 2t + 1] += x · w over one step, in two chains of products.
template <class T>
__device__ __forceinline__ void DecodeStep(float (&acc)[2][4], const uint4 (&x)[1], const uint4& w, T) {
  const uint32_t a0[4] = {x[0].x, 0, x[0].y, 0}, a1[4] = {x[0].z, 0, x[0].w, 0};
  Mma16x8x16<T>(acc[0], a0, w.x, w.y);
  Mma16x8x16<T>(acc[1], a1, w.z, w.w);
}
template <class T>
__device__ __forceinline__ void DecodeStep(float (&acc)[2][4], const uint4 (&x)[2], const uint4& w, int8_t) {
  const uint32_t words[4] = {w.x, w.y, w.z, w.w};
  const uint32_t inputs[8] = {x[0].x, x[0].y, x[0].z, x[0].w, x[1].x, x[1].y, x[1].z, x[1].w};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t b[2];
    Widen(words[k], b, T{});
    const uint32_t a[4] = {inputs[2 * k], 0, inputs[2 * k + 1], 0};
    Mma16x8x16<T>(acc[k % 2], a, b[0], b[1]);
  }
}

// A warp's range of steps over one row group, split evenly over `parts`.
struct DecodeRange {
  int first, last;
  __device__ DecodeRange(int steps, int part, int parts) {
    const int each = (steps + parts - 1) / parts;
    first = min(part * each, steps);
    last = min(first + each, steps);
  }
};

// A lane's way through the columns, one step of one block at a time; divisions happen once, in the
// constructor. Widths are multiples of what a lane loads.
template <class W>
class DecodeCursor {
 public:
  __device__ DecodeCursor(int step, int steps_per_block, int p, int in, int t)
      : block_(step / steps_per_block),
        step_(step % steps_per_block),
        column_(block_ * p + step_ * kStep + t * kLane),
        steps_per_block_(steps_per_block),
        lane_steps_((p - t * kLane + kStep - 1) / kStep),
        skip_(p - steps_per_block * kStep),
        in_(in) {}

  __device__ __forceinline__ bool valid() const { return step_ < lane_steps_ && column_ < in_; }
  __device__ __forceinline__ bool block_ends() const { return step_ + 1 == steps_per_block_; }
  __device__ __forceinline__ int block() const { return block_; }
  __device__ __forceinline__ int column() const { return column_; }
  __device__ __forceinline__ void Advance() {
    const bool ends = block_ends();
    step_ = ends ? 0 : step_ + 1;
    block_ += ends;
    column_ += ends ? kStep + skip_ : kStep;
  }

 private:
  static constexpr int kStep = kDecodeColumns<W>, kLane = kStep / 4;
  int block_, step_, column_, steps_per_block_, lane_steps_, skip_, in_;
};

// Sums of x · w over a warp's range. end_block(block, sums) takes them away after the last step of a block,
// or without kEndBlocks after the range alone. `w_row` is null for a row that does not exist, `x_row` for
// such a token; `before_inputs` runs when the first weights are on their way.
//
// Each kernel is over in two microseconds, most of them spent on fetching instructions once: what need not be
// unrolled is not. Inputs of a batch are in flight together; asking for the next batch's as well was slower.
template <bool kEndBlocks, class T, class W, class BeforeInputs, class EndBlock>
__device__ __forceinline__ void DecodeLoop(uint32_t ring, const DecodeRange& range, DecodeCursor<W> at,
                                           const W* w_row, const T* x_row, BeforeInputs before_inputs,
                                           EndBlock end_block) {
  constexpr int kVectors = sizeof(T) / sizeof(W);  // 16-byte loads of inputs
  constexpr uint32_t kSlots = kDecodeRing * kDecodeBatch, kSlotBytes = 512;
  const uint32_t slots = ring + (threadIdx.x / 32 * kSlots * 32 + threadIdx.x % 32) * 16;
  const int steps = range.last - range.first;
  DecodeCursor<W> ahead = at;
  uint32_t sending = 0, reading_slot = 0;
  float acc[2][4] = {};
#pragma unroll 1
  for (int first = -kDecodeRing * kDecodeBatch, sent = 0; first < steps; first += kDecodeBatch) {
    if (first >= 0) {
      uint4 x[kDecodeBatch][kVectors];
      DecodeCursor<W> reading = at;
#pragma unroll
      for (int d = 0; d < kDecodeBatch; ++d, reading.Advance()) {
        if (first + d >= steps) break;
        const bool valid = x_row != nullptr && reading.valid();
#pragma unroll
        for (int v = 0; v < kVectors; ++v) x[d][v] = Load16If(valid, x_row + reading.column() + v * 8);
      }
      CopyAsyncWait<kDecodeRing - 1>();
#pragma unroll
      for (int d = 0; d < kDecodeBatch; ++d) {
        if (first + d >= steps) break;
        DecodeStep<T>(acc, x[d], LoadShared16(slots + reading_slot + d * kSlotBytes), W{});
        if constexpr (kEndBlocks) {
          if (at.block_ends() || first + d + 1 == steps) {
            end_block(at.block(), make_float2(acc[0][0] + acc[1][0], acc[0][1] + acc[1][1]));
            acc[0][0] = acc[1][0] = acc[0][1] = acc[1][1] = 0.0f;
          }
          at.Advance();
        }
      }
      if constexpr (!kEndBlocks) at = reading;  // of a whole batch
      reading_slot = (reading_slot + kDecodeBatch * kSlotBytes) % (kSlots * kSlotBytes);
    }
#pragma unroll 1
    for (int d = 0; d < kDecodeBatch; ++d, ++sent, ahead.Advance()) {
      if (sent >= steps) break;
      CopyAsync16(slots + sending + d * kSlotBytes, w_row + ahead.column(),
                  w_row != nullptr && ahead.valid());
    }
    sending = (sending + kDecodeBatch * kSlotBytes) % (kSlots * kSlotBytes);
    CopyAsyncCommit();
    if (first == -kDecodeBatch) before_inputs();
  }
  if constexpr (!kEndBlocks) end_block(0, make_float2(acc[0][0] + acc[1][0], acc[0][1] + acc[1][1]));
}

template <class T, class W, class S>
struct DecodeStage1Params {
  const T* x;      // [tokens, in]
  const W* v;      // [rows, in]
  Scales v_scale;  // [b_in, r]; Monarch: [b_out, b_in, r]
  const S* s;      // [b_out, b_in, r], or null: t itself is the result
  T* z;            // [tokens, b_out, k]: k = r (BLAST, low rank) or b_in·r (Monarch)
  int tokens, b_in, b_out, p, r, rows;
  int64_t in;
};

// Stage 1 and the coupling. A cluster owns 8 rows ρ of V for all columns, so it has t_j[ρ] for every j and
// finishes z_i[ρ] = Σ_j S[i, j, ρ]·t_j[ρ] on chip. The warps of its blocks split the columns evenly; each
// block adds up what it has of every t_j, then takes the others' sums and finishes its share of the rows i.
// Grid: rows / 8 · cluster. Dynamic shared memory: DecodeSharedBytes of dispatch.h.
template <class T, class W, class S>
__global__ void __launch_bounds__(kDecodeWarps * 32, 2)
    DecodeStage1Kernel(const __grid_constant__ DecodeStage1Params<T, W, S> p) {
  constexpr bool kScaled = sizeof(W) == 1;
  extern __shared__ __align__(16) float shared[];
  float* partial = shared + kDecodeRingBytes / 4;
  const int tile = p.tokens * kDecodeRows;                  // partial and t: [slot][token][8]
  float* t_own = partial + (p.b_in + kDecodeWarps) * tile;  // [b_in]: of this block's columns
  float* t_all = t_own + p.b_in * tile;                     // [b_in]
  int* warps_of =
      reinterpret_cast<int*>(t_all + p.b_in * tile);  // [b_in]: first and last warp of a block of columns
  S* s_all = reinterpret_cast<S*>(warps_of + (2 * p.b_in + 3) / 4 * 4);  // [b_out][b_in][8]
  const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const int members = ClusterSize(), member = ClusterRank(), row0 = blockIdx.x / members * kDecodeRows;
  const int steps_per_block = (p.p + kDecodeColumns<W> - 1) / kDecodeColumns<W>,
            steps = steps_per_block * p.b_in;
  const DecodeRange range(steps, member * kDecodeWarps + warp, members * kDecodeWarps);
  ReleaseNextKernel();

  // S goes with the first batch of weights.
  constexpr int kVectors = kDecodeRows * sizeof(S) / 16;
  if (p.s != nullptr)
#pragma unroll 1
    for (int i = threadIdx.x; i < p.b_out * p.b_in; i += blockDim.x)
#pragma unroll
      for (int k = 0; k < kVectors; ++k)
        CopyAsync16(SharedAddress(s_all + i * kDecodeRows) + k * 16,
                    p.s + static_cast<int64_t>(i) * p.r + row0 + k * (16 / sizeof(S)), true);
  const auto before_inputs = [&] {
    const int each = (steps + members * kDecodeWarps - 1) / (members * kDecodeWarps);
#pragma unroll 1
    for (int j = threadIdx.x; j < p.b_in; j += blockDim.x) {
      warps_of[2 * j] = max(j * steps_per_block / each - member * kDecodeWarps, 0);
      warps_of[2 * j + 1] =
          min(((j + 1) * steps_per_block - 1) / each - member * kDecodeWarps, kDecodeWarps - 1);
    }
    WaitForPreviousKernel();
  };
  const auto end_block = [&](int block, float2 sums) {
    if (g < p.tokens)
      *reinterpret_cast<float2*>(partial + (block + warp) * tile + g * kDecodeRows + 2 * t) = sums;
  };
  DecodeLoop<true, T, W>(SharedAddress(shared), range,
                         DecodeCursor<W>(range.first, steps_per_block, p.p, static_cast<int>(p.in), t),
                         p.v + static_cast<int64_t>(row0 + g) * p.in, g < p.tokens ? p.x + g * p.in : nullptr,
                         before_inputs, end_block);
  __syncthreads();

  // Rows of a group never straddle two blocks i of Monarch: r is a multiple of 8.
  const int row = threadIdx.x % kDecodeRows, lane0 = threadIdx.x / kDecodeRows,
            lanes = blockDim.x / kDecodeRows;
  const int i0 = p.s == nullptr ? row0 / p.r : 0, rank0 = row0 - i0 * p.r;
#pragma unroll 1
  for (int item = lane0; item < p.b_in * p.tokens; item += lanes) {
    const int j = p.tokens == 1 ? item : item / p.tokens, at = (item - j * p.tokens) * kDecodeRows + row;
    float sum = 0.0f;
#pragma unroll 1
    for (int w = warps_of[2 * j]; w <= warps_of[2 * j + 1]; ++w) sum += partial[(j + w) * tile + at];
    if constexpr (kScaled) sum *= p.v_scale[(static_cast<int64_t>(i0) * p.b_in + j) * p.r + rank0 + row];
    t_own[j * tile + at] = sum;
  }
  CopyAsyncWait<0>();
  const float* t_sums = t_own;
  if (members > 1) {
    ClusterArrive();
    ClusterWait();
#pragma unroll 1
    for (int item = threadIdx.x; item < p.b_in * tile; item += blockDim.x) {
      float sum = 0.0f;
#pragma unroll 1
      for (int m = 0; m < members; ++m) sum += LoadCluster(ClusterAddress(SharedAddress(t_own + item), m));
      t_all[item] = sum;
    }
    ClusterArrive();  // others may read until they have arrived too
    t_sums = t_all;
  }
  __syncthreads();

  if (p.s == nullptr) {
    const int b_out = p.rows / p.r;
#pragma unroll 1
    for (int item = lane0 + lanes * member; item < p.b_in * p.tokens; item += lanes * members) {
      const int j = item / p.tokens, n = item - j * p.tokens;
      p.z[((static_cast<int64_t>(n) * b_out + i0) * p.b_in + j) * p.r + rank0 + row] =
          FromFloat<T>(t_sums[j * tile + n * kDecodeRows + row]);
    }
  } else {
#pragma unroll 1
    for (int item = lane0 + lanes * member; item < p.b_out * p.tokens; item += lanes * members) {
      const int i = p.tokens == 1 ? item : item / p.tokens, n = item - i * p.tokens;
      const S* s = s_all + i * p.b_in * kDecodeRows + row;
      const float* t_n = t_sums + n * kDecodeRows + row;
      float sum = 0.0f;
#pragma unroll 4
      for (int j = 0; j < p.b_in; ++j) sum += ToFloat(s[j * kDecodeRows]) * t_n[j * tile];
      p.z[(static_cast<int64_t>(n) * p.b_out + i) * p.r + row0 + row] = FromFloat<T>(sum);
    }
  }
  if (members > 1) ClusterWait();
}

template <class T, class W>
struct DecodeStage2Params {
  const T* z;      // [tokens, b_out, b·p]
  const W* u;      // [out, b·p]
  Scales u_scale;  // [out, b]
  T* y;            // [tokens, out]
  int64_t out;
  int tokens, b_out, q, b, p;  // b blocks of p columns with a scale each: 1 of k, or Monarch's b_in of r
  int row_stride;              // between neighbouring rows of a block: 1 (contiguous) or b_out (interleaved)
  int groups_per_block;        // ceil(q / 8)
  int splits;                  // warps that share one row group's columns: 1, 2, 4 or 8
  Epilogue<T> epilogue;
};

// Stage 2: y_i = U_i z_i. A warp owns 8 rows of one block i and 1 / splits of their columns. Its weights are
// asked for before the kernel waits for stage 1: as many as the ring holds.
template <class T, class W>
__global__ void __launch_bounds__(kDecodeWarps * 32, 2)
    DecodeStage2Kernel(const __grid_constant__ DecodeStage2Params<T, W> p) {
  constexpr bool kScaled = sizeof(W) == 1;
  extern __shared__ __align__(16) float shared[];
  __shared__ float partial[kDecodeWarps][kDecodeTokens][kDecodeRows];
  const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
  const int groups_per_cta = kDecodeWarps / p.splits, group0 = blockIdx.x * groups_per_cta;
  const int group = group0 + warp / p.splits, k = p.b * p.p;
  const int i = group / p.groups_per_block, c0 = (group - i * p.groups_per_block) * kDecodeRows;
  const auto feature_of = [&](int block, int c) {
    return p.row_stride == 1 ? static_cast<int64_t>(block) * p.q + c
                             : block + static_cast<int64_t>(c) * p.row_stride;
  };
  const int64_t row = feature_of(i, c0 + g);
  const bool exists = i < p.b_out && c0 + g < p.q && row < p.out;
  const int steps_per_block = (p.p + kDecodeColumns<W> - 1) / kDecodeColumns<W>;
  const DecodeRange range(steps_per_block * p.b, warp % p.splits, p.splits);
  ReleaseNextKernel();

  const int e = threadIdx.x % kDecodeRows, lane0 = threadIdx.x / kDecodeRows,
            lanes = blockDim.x / kDecodeRows;
  float2 sums = {};
  const auto scale_of = [&](int block, int n) {  // of a part of a row; a whole row's comes at the end
    const int64_t o = feature_of(i, c0 + 2 * t + n);
    const bool scaled = p.b > 1 && i < p.b_out && c0 + 2 * t + n < p.q && o < p.out;
    return scaled ? p.u_scale[o * p.b + block] : 1.0f;
  };
  const auto end_block = [&](int block, float2 of_block) {
    sums.x += kScaled ? of_block.x * scale_of(block, 0) : of_block.x;
    sums.y += kScaled ? of_block.y * scale_of(block, 1) : of_block.y;
  };
  DecodeLoop<kScaled, T, W>(
      SharedAddress(shared), range, DecodeCursor<W>(range.first, steps_per_block, p.p, k, t),
      exists ? p.u + row * k : nullptr,
      g < p.tokens && i < p.b_out ? p.z + (static_cast<int64_t>(g) * p.b_out + i) * k : nullptr,
      [] { WaitForPreviousKernel(); }, end_block);
  *reinterpret_cast<float2*>(&partial[warp][g][2 * t]) = sums;
  __syncthreads();

#pragma unroll 1
  for (int item = lane0; item < groups_per_cta * p.tokens; item += lanes) {
    const int local = p.tokens == 1 ? item : item / p.tokens, n = item - local * p.tokens;
    const int block = (group0 + local) / p.groups_per_block;
    const int c = (group0 + local - block * p.groups_per_block) * kDecodeRows + e;
    const int64_t feature = feature_of(block, c);
    if (block >= p.b_out || c >= p.q || feature >= p.out) continue;
    float sum = 0.0f;
#pragma unroll 1
    for (int part = 0; part < p.splits; ++part) sum += partial[local * p.splits + part][n][e];
    if constexpr (kScaled)
      if (p.b == 1) sum *= p.u_scale[feature];
    p.y[static_cast<int64_t>(n) * p.out + feature] = FromFloat<T>(p.epilogue(sum, feature));
  }
}

}  // namespace blockrank::cuda
