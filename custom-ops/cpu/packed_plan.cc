#include "cpu/packed_plan.h"

#include <algorithm>

#include "cpu/layout.h"

namespace blockrank {
namespace {

// Fewer tokens than this per thread share the factors better by splitting rank and rows over the threads.
constexpr int64_t kLocalTokens = 24;
constexpr int64_t kTileStep = 4;  // whole register tiles
// Larger tiles gain nothing any more, whatever the layer (16 to 128 tokens within the noise), and balance
// worse.
constexpr int64_t kMaxTile = 48;
constexpr int64_t kTBytes = 64 * 1024;             // t of one task, to stay in L2 beside a panel, S and z
constexpr int64_t kBatchBytes = 12 * 1024 * 1024;  // z of a batch, to stay in the last-level cache
// A launch costs about 5 µs on either thread. Below this many nanoseconds of work one thread does it all:
// 384 × 384 at half the numbers and 16 tokens took 18 µs on one thread, 23 µs on two.
constexpr int64_t kLaunchWorth = 12000;
constexpr int64_t kProductsPerNanosecond = 150;  // of one thread
constexpr int64_t kBytesPerNanosecond = 16;      // likewise, from memory
// Few tokens: the threads run side by side over equal work, a second task each evens out what they meet.
constexpr int64_t kTasksPerThread = 2;

int64_t RoundUp(int64_t value, int64_t multiple) { return CeilDiv(value, multiple) * multiple; }

// An odd number of cache lines, so that the rows of a register tile do not share sets of the L1 cache.
int64_t OddLines(int64_t bytes) { return CeilDiv(bytes, 64) / 2 * 128 + 64; }

// Chunks of `size`, whole panels, so that there are `wanted` tasks with `others` for each.
int64_t Chunk(int64_t size, int64_t others, int64_t wanted, int64_t panel) {
  const int64_t pieces = std::max<int64_t>(1, CeilDiv(wanted, others));
  return RoundUp(CeilDiv(size, pieces), panel);
}

// What the call takes on one thread, roughly.
int64_t Nanoseconds(const Problem& p) {
  const Dims& d = p.dims;
  const int64_t factors = d.rank * (d.in * VSlabs(p) + d.out * ZBlocks(p));
  const int64_t coupling = p.structure == Structure::kBlast ? d.b_out * d.b_in * d.rank : 0;
  return (factors + 4 * coupling) * p.tokens / kProductsPerNanosecond +
         (factors + 4 * coupling) / kBytesPerNanosecond;
}

}  // namespace

PackedPlan MakePackedPlan(const Problem& p, const PackedTable& table, int64_t threads) {
  const Dims& d = p.dims;
  PackedPlan plan;
  const int64_t element = kGroupBytes / table.GroupSize();
  plan.x_block = CeilDiv(d.p(), table.GroupSize()) * kGroupBytes;
  plan.x_stride = OddLines(d.b_in * plan.x_block);
  plan.z_block = RoundUp(d.rank, table.panel_rows);
  plan.z_stride = ZBlocks(p) * plan.z_block + 16;
  plan.zq_block = RoundUp(d.rank * element, kGroupBytes);
  plan.zq_stride = OddLines(ZBlocks(p) * plan.zq_block);

  const int64_t z_bytes = d.b_out * plan.z_stride * static_cast<int64_t>(sizeof(float));
  if (Nanoseconds(p) < kLaunchWorth) threads = 1;
  plan.local = threads == 1 || p.tokens >= kLocalTokens * threads;
  if (plan.local) {
    const int64_t tiles = RoundUp(CeilDiv(p.tokens, kMaxTile), threads);
    plan.tile = plan.batch = RoundUp(CeilDiv(p.tokens, tiles), kTileStep);
  } else {
    plan.batch = std::min(p.tokens, std::max(kLocalTokens, kBatchBytes / z_bytes));
    plan.tile = RoundUp(CeilDiv(plan.batch, CeilDiv(plan.batch, kMaxTile)), kTileStep);
    plan.tile = std::min(plan.batch, plan.tile);
  }
  const int64_t t_columns = kTBytes / (d.b_in * plan.tile * static_cast<int64_t>(sizeof(float)));
  const int64_t tiles = CeilDiv(plan.batch, plan.tile), wanted = kTasksPerThread * threads;
  plan.rank_chunk = plan.local ? plan.z_block : Chunk(d.rank, tiles * VSlabs(p), wanted, table.panel_rows);
  plan.row_chunk =
      plan.local ? RoundUp(d.q(), table.panel_rows) : Chunk(d.q(), tiles * d.b_out, wanted, table.panel_rows);
  plan.t_width = std::clamp(t_columns / table.panel_rows * table.panel_rows, table.panel_rows,
                            std::min(plan.rank_chunk, plan.z_block));
  return plan;
}

}  // namespace blockrank
