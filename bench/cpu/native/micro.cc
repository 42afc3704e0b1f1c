// Compiled once for each instruction set and type of products, with the definitions and options of that
// kernel's own file (CMakeLists.txt): BLOCKRANK_LANES, BLOCKRANK_TILE_TOKENS, BLOCKRANK_MICRO (the function's
// name), BLOCKRANK_MICRO_ISA and BLOCKRANK_MICRO_TYPE (4: float32, 2: bfloat16, 1: int8).
#include "micro.h"

#include "peak.h"

#if BLOCKRANK_MICRO_TYPE == 4
#include "cpu/gemm_panel.h"
#else
#if BLOCKRANK_MICRO_TYPE == 2
#include "cpu/bf16_arithmetic.h"
#else
#include "cpu/int8_arithmetic.h"
#endif
#include "cpu/packed_gemm.h"
#endif

namespace blockrank {
namespace {

// `count` values with 64-byte alignment, all zeros.
template <class T>
class Aligned {
 public:
  explicit Aligned(int64_t count) : bytes_(static_cast<size_t>(count) * sizeof(T) + 64) {}
  T* data() { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(bytes_.data()) + 63) / 64 * 64); }

 private:
  std::vector<uint8_t> bytes_;
};

#if BLOCKRANK_MICRO_TYPE == 4

constexpr const char* kType = "float32";

int64_t Peak(int64_t rounds) {
  RunChains<Vec, Vec>(rounds, [](Vec sum, Vec w, Vec x) { return sum + w * x; });
  return rounds * kChains * kLanes;
}

int64_t Kernel(int64_t depth, int64_t rounds) {
  const int64_t lda = depth + 16;  // not a power of two, as in the engine
  Aligned<float> a(kTileTokens * lda), panel(depth * kPanelRows), c(kTileTokens * kPanelRows);
  for (int64_t round = 0; round < rounds; ++round)
    MicroKernel<kTileTokens>(a.data(), lda, panel.data(), depth, {c.data(), 0}, {c.data(), kPanelRows});
  return rounds * kTileTokens * kPanelRows * depth;
}

#else

#if BLOCKRANK_MICRO_TYPE == 2
using Arithmetic = BFloat16Arithmetic;
constexpr const char* kType = "bfloat16";
#else
using Arithmetic = Int8Arithmetic;
constexpr const char* kType = "int8";
#endif
constexpr int64_t kGroupSize = kGroupBytes / BLOCKRANK_MICRO_TYPE;

int64_t Peak(int64_t rounds) {
  using Acc = Arithmetic::Acc;
  RunChains<Acc, IntVec>(rounds, [](Acc sum, IntVec w, IntVec x) { return Arithmetic::Dot(sum, w, x); });
  return rounds * kChains * kLanes * kGroupSize;
}

int64_t Kernel(int64_t depth, int64_t rounds) {
  const int64_t groups = CeilDiv(depth, kGroupSize), lda = groups * kGroupBytes + 64;
  Aligned<uint8_t> a(kTileTokens * lda), panel(groups * kPanelRows * kGroupBytes);
  Aligned<float> c(kTileTokens * kPanelRows), zeros(kPanelRows);
  const BlockScale scale{1, 0};
  const PackedGemmArgs args{a.data(),     lda,    kTileTokens, panel.data(), groups, kPanelRows,
                            zeros.data(), &scale, 0,           zeros.data(), 0,      c.data(),
                            kPanelRows};
  for (int64_t round = 0; round < rounds; ++round)
    PackedTile<Arithmetic, kTileTokens, kPanelVectors>(args, 0, {panel.data(), 0});
  return rounds * kTileTokens * kPanelRows * groups * kGroupSize;
}

#endif

}  // namespace

namespace bench {
Micro BLOCKRANK_MICRO() { return {BLOCKRANK_MICRO_ISA, kType, Peak, Kernel}; }
}  // namespace bench

}  // namespace blockrank
