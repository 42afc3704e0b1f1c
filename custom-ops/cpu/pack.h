// Factors in the order in which the packed engine's micro-kernel reads them, made once per node.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "core/params.h"
#include "cpu/packed_table.h"

namespace blockrank {

struct AlignedDelete {
  static constexpr std::align_val_t kAlignment{64};
  void operator()(uint8_t* memory) const { ::operator delete(memory, kAlignment); }
};

using AlignedBytes = std::unique_ptr<uint8_t, AlignedDelete>;

/// Bytes [slab][panel][block][group][row of the panel][4]: a panel is read from its first byte to its last.
/// Rows and elements past the end are zeros.
struct PackedMatrix {
  AlignedBytes data;
  int64_t panel_rows = 0;
  int64_t panels = 0;  // per slab
  int64_t blocks = 0;
  int64_t block_groups = 0;
  std::vector<float> scale;  // [slab][block][row], rows padded to whole panels; int8 alone

  const uint8_t* Panel(int64_t slab, int64_t panel, int64_t block) const {
    return data.get() + ((slab * panels + panel) * blocks + block) * block_groups * panel_rows * kGroupBytes;
  }
  const float* Scale(int64_t slab, int64_t panel, int64_t block) const {
    return scale.data() + (slab * blocks + block) * panels * panel_rows + panel * panel_rows;
  }
};

/// V's slabs are Monarch's output blocks, its blocks the input's; U's slabs are the output blocks (rows in
/// the block's order, so an interleaved Monarch reads like the others), its blocks Monarch's input blocks.
struct PackedFactors {
  PackedMatrix v;
  PackedMatrix u;
  /// As stored, [vector of columns][b_out][b_in][lanes], columns padded to whole panels of V: what one vector
  /// of the coupling reads is contiguous. BLAST alone.
  AlignedBytes s;
};

/// Throws std::bad_alloc.
PackedFactors PackFactors(const Problem& problem, const PackedTable& table);

/// int32 holds every sum: 128 · 127 · terms < 2³¹.
constexpr int64_t kMaxInt8Terms = 131072;

/// Whether the engine has this problem in int8: it is exact while blocks are no longer than kMaxInt8Terms.
inline bool FitsInt8(const Dims& d) { return d.p() <= kMaxInt8Terms && d.rank <= kMaxInt8Terms; }

}  // namespace blockrank
