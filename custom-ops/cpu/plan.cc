#include "cpu/plan.h"

#include <algorithm>

namespace blockrank {
namespace {

// Up to so many tokens dot products win, by the factors' type, for they need no transposed panels (measured
// on AVX-512: at 16 tokens by a quarter, at 64 by a few percent, at 128 not any more; bf16 takes two
// operations to widen, in each of them).
constexpr int64_t kFewTokens[kDTypeCount] = {64, 64, 16, 64};
// Transposing a panel costs about 0.4 cycles an element and is shared by the tile's tokens (tile / 16 cycles
// an element).
constexpr int64_t kMaxTile = 132;
constexpr int64_t kTileStep = 12;  // whole register tiles, of 12 tokens or 6
constexpr int64_t kMinTile = 48;
constexpr int64_t kTFloats = 128 * 1024;  // t of one task: 512 KiB, half of a usual L2
// z of a batch for each thread: 1 MiB, to stay in its L2. 12 MiB, for the last level, took 4 % longer at 512
// tokens (GPT-2's layers).
constexpr int64_t kZFloats = 256 * 1024;
// Handing tasks to ONNX Runtime's threads and waiting for them takes 2 µs in each of the two stages (measured
// on a 64 × 64 layer): not for less than this. A thread reads 15 bytes of factors in a ns, or does 45
// multiply-adds.
constexpr int64_t kSerialNanoseconds = 10000;
// A task per thread would leave threads idle behind the slowest; four each keeps the tail short.
constexpr int64_t kTasksPerThread = 4;

int64_t RoundUp(int64_t value, int64_t multiple) { return CeilDiv(value, multiple) * multiple; }

// The tokens in equal tiles of about `limit` at most.
int64_t EvenTile(int64_t tokens, int64_t limit) {
  return RoundUp(CeilDiv(tokens, CeilDiv(tokens, limit)), kTileStep);
}

// The largest chunk of `size` that gives enough tasks, as a multiple of `step`.
int64_t Chunk(int64_t size, int64_t others, int64_t wanted_tasks, int64_t step, int64_t limit) {
  const int64_t pieces = std::max<int64_t>(1, CeilDiv(wanted_tasks, others));
  return std::clamp(CeilDiv(size, pieces) / step * step, step, std::max(step, limit / step * step));
}

// On one thread.
int64_t Nanoseconds(const Problem& p) {
  const Dims& d = p.dims;
  const int64_t each =
      p.structure == Structure::kMonarch ? d.in * d.b_out + d.out * d.b_in : d.in + d.out + d.b_in * d.b_out;
  const int64_t numbers = d.rank * each;
  return numbers * static_cast<int64_t>(SizeOf(p.factor_type)) / 15 + numbers * p.tokens / 45;
}

}  // namespace

Plan MakePlan(const Problem& problem, const KernelTable& kernels, int64_t threads) {
  const Dims& d = problem.dims;
  const int64_t step = kernels.panel_rows;
  Plan plan;
  plan.few = problem.tokens <= kFewTokens[static_cast<int>(problem.factor_type)];
  plan.serial = Nanoseconds(problem) < kSerialNanoseconds;
  // A row stride of a multiple of 2 KiB puts the register tile's rows of X into too few sets of the L1 cache.
  plan.copy_x = problem.x_type != DType::kFloat32 || (!plan.few && d.in % 512 == 0);
  plan.x_stride = RoundUp(d.in, 16) + 16;
  plan.z_stride = RoundUp(ZLength(problem), step) + 16;

  const bool blast = problem.structure == Structure::kBlast;
  const int64_t batch_limit = std::max<int64_t>(kMinTile, kZFloats * threads / (d.b_out * plan.z_stride));
  plan.batch = std::min(problem.tokens, EvenTile(problem.tokens, batch_limit));
  const int64_t tile_limit =
      blast ? std::clamp<int64_t>(kTFloats / (d.b_in * step), kTileStep, kMaxTile) : kMaxTile;
  plan.tile = EvenTile(plan.batch, tile_limit);
  const int64_t wanted = kTasksPerThread * threads;
  const int64_t blocks = problem.structure == Structure::kMonarch ? d.b_out : 1;
  const auto tasks = [&] { return CeilDiv(plan.batch, plan.tile) * blocks * CeilDiv(d.rank, step); };
  while (tasks() < 2 * threads && plan.tile > kMinTile)
    plan.tile = EvenTile(plan.tile, CeilDiv(plan.tile, 2));

  const int64_t tiles = CeilDiv(plan.batch, plan.tile);
  const int64_t rank_limit = blast ? kTFloats / (d.b_in * plan.tile) : d.rank;
  plan.rank_chunk = Chunk(d.rank, tiles * blocks, wanted, step, rank_limit);
  plan.row_chunk = Chunk(d.q(), tiles * d.b_out, wanted, step, d.q());
  return plan;
}

}  // namespace blockrank
