#include "cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "core/convert.h"
#include "cpu/layout.h"

namespace blockrank {
namespace {

float ToFloat(const void* base, DType type, int64_t index) {
  const void* value = Element(base, type, index);
  if (type == DType::kFloat32) return *static_cast<const float*>(value);
  return type == DType::kFloat16 ? blockrank::ToFloat(*static_cast<const Half*>(value))
                                 : blockrank::ToFloat(*static_cast<const BFloat16*>(value));
}

// A factor as stored: rows of `length` elements in blocks of `block`.
struct Source {
  const void* data;
  DType type;
  int64_t length;
  int64_t block;
};

// Which rows of the factor a slab has: first + n · step.
struct Rows {
  int64_t first;
  int64_t step;
  int64_t count;
};

// One group of a row, elements from k on, in the micro-kernel's type.
void PackGroup(const Source& source, int64_t row, int64_t k, int64_t end, const PackedTable& table,
               uint8_t* target) {
  const int64_t size = table.GroupSize();
  for (int64_t e = 0; e < size && k + e < end; ++e) {
    const int64_t index = row * source.length + k + e;
    if (table.compute == Compute::kInt8) {
      target[e] = static_cast<const uint8_t*>(source.data)[index] ^ table.weight_flip;
    } else {
      const BFloat16 value = ToBFloat16(ToFloat(source.data, source.type, index));
      std::memcpy(target + e * 2, &value, sizeof value);
    }
  }
}

AlignedBytes AllocateBytes(int64_t bytes, uint8_t fill) {
  AlignedBytes memory(
      static_cast<uint8_t*>(::operator new(static_cast<size_t>(bytes), AlignedDelete::kAlignment)));
  std::memset(memory.get(), fill, static_cast<size_t>(bytes));
  return memory;
}

PackedMatrix Allocate(const Source& source, int64_t slabs, int64_t rows, const PackedTable& table) {
  PackedMatrix matrix;
  matrix.panel_rows = table.panel_rows;
  matrix.panels = CeilDiv(rows, table.panel_rows);
  matrix.blocks = CeilDiv(source.length, source.block);
  matrix.block_groups = CeilDiv(source.block, table.GroupSize());
  const int64_t bytes =
      slabs * matrix.panels * matrix.blocks * matrix.block_groups * table.panel_rows * kGroupBytes;
  matrix.data = AllocateBytes(bytes, table.weight_flip);
  if (table.compute == Compute::kInt8)
    matrix.scale.assign(static_cast<size_t>(slabs * matrix.blocks * matrix.panels * table.panel_rows), 0.0f);
  return matrix;
}

void PackSlab(const Source& source, const Rows& rows, int64_t slab, const PackedTable& table,
              PackedMatrix* matrix) {
  const int64_t size = table.GroupSize();
  for (int64_t n = 0; n < rows.count; ++n) {
    const int64_t panel = n / table.panel_rows, lane = n % table.panel_rows;
    for (int64_t j = 0; j < matrix->blocks; ++j) {
      const int64_t begin = j * source.block, end = std::min(begin + source.block, source.length);
      uint8_t* target = const_cast<uint8_t*>(matrix->Panel(slab, panel, j)) + lane * kGroupBytes;
      for (int64_t k = begin; k < end; k += size, target += table.panel_rows * kGroupBytes)
        PackGroup(source, rows.first + n * rows.step, k, end, table, target);
    }
  }
}

// scale[slab][block][row] = value(row, block)
template <class Value>
void PackScales(int64_t rows, int64_t slab, PackedMatrix* matrix, Value&& value) {
  for (int64_t j = 0; j < matrix->blocks; ++j)
    for (int64_t n = 0; n < rows; ++n) const_cast<float*>(matrix->Scale(slab, 0, j))[n] = value(n, j);
}

AlignedBytes PackS(const Problem& p, const PackedTable& table) {
  const int64_t pairs = p.dims.b_out * p.dims.b_in, rank = p.dims.rank, lanes = table.lanes;
  const int64_t columns = CeilDiv(rank, table.panel_rows) * table.panel_rows;
  const int64_t size = static_cast<int64_t>(SizeOf(p.scale_type));
  AlignedBytes packed = AllocateBytes(pairs * columns * size, 0);
  for (int64_t ij = 0; ij < pairs; ++ij)
    for (int64_t k = 0; k < rank; k += lanes)
      std::memcpy(packed.get() + (k / lanes * pairs + ij) * lanes * size,
                  Element(p.s, p.scale_type, ij * rank + k),
                  static_cast<size_t>(std::min(lanes, rank - k) * size));
  return packed;
}

}  // namespace

PackedFactors PackFactors(const Problem& p, const PackedTable& table) {
  const Dims& d = p.dims;
  const bool scaled = table.compute == Compute::kInt8;
  const Source v{p.v, p.factor_type, d.in, d.p()};
  const Source u{p.u, p.factor_type, ZBlocks(p) * d.rank, d.rank};
  PackedFactors packed{Allocate(v, VSlabs(p), d.rank, table), Allocate(u, d.b_out, d.q(), table), nullptr};
  if (p.structure == Structure::kBlast) packed.s = PackS(p, table);
  for (int64_t i = 0; i < VSlabs(p); ++i) {
    PackSlab(v, {i * d.rank, 1, d.rank}, i, table, &packed.v);
    if (scaled) {
      PackScales(d.rank, i, &packed.v, [&](int64_t n, int64_t j) {
        return ToFloat(p.v_scale, p.scale_type, (i * d.b_in + j) * d.rank + n);
      });
    }
  }
  for (int64_t i = 0; i < d.b_out; ++i) {
    const Rows rows{FirstRow(p, i), RowStep(p), BlockRows(p, i)};
    PackSlab(u, rows, i, table, &packed.u);
    if (scaled) {
      PackScales(rows.count, i, &packed.u, [&](int64_t n, int64_t j) {
        return ToFloat(p.u_scale, p.scale_type, (rows.first + n * rows.step) * ZBlocks(p) + j);
      });
    }
  }
  return packed;
}

}  // namespace blockrank
