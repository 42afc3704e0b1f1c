// Reads the tables of dispatch.h.
#include "dispatch.h"

#include <algorithm>
#include <iterator>

namespace blockrank::cuda {
namespace {

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// First usable row whose grid fills the device; failing that the usable row with the most blocks, which the
// tables list last.
template <class Tile, int kCount, class Blocks>
int PickTile(const Tile (&tiles)[kCount], const LayerShape& shape, const Device& device, int64_t tokens,
             Blocks blocks) {
  const bool wgmma = device.wgmma && shape.even;
  int last = -1;
  for (int row = 0; row < kCount; ++row) {
    const Tile& tile = tiles[row];
    if (!CanUse(tile, shape, device) || wgmma != tile.wgmma || tokens < tile.min_tokens) continue;
    last = row;
    if (blocks(tile) >= tile.min_fill * device.multiprocessors) return row;
  }
  return last;
}

int PickGemmTile(const LayerShape& shape, const Device& device, int64_t tokens, int64_t rows, int64_t k,
                 int64_t batches) {
  return PickTile(kGemmTiles, shape, device, tokens, [&](const GemmTile& tile) {
    if (k < tile.min_k) return 0.0;
    return static_cast<double>(CeilDiv(tokens, tile.m) * CeilDiv(rows, tile.n) * batches);
  });
}

int PickBlastTile(const LayerShape& shape, const Device& device, int64_t tokens) {
  return PickTile(kBlastTiles, shape, device, tokens, [&](const BlastTile& tile) {
    return static_cast<double>(CeilDiv(tokens, tile.n) * CeilDiv(shape.r, tile.m) * tile.cluster);
  });
}

// The fused kernel exchanges t through the cluster, slower than L2 carries it, and saves a launch: measured
// ahead (by 3 to 5%) for at most 4 blocks between one and two tiles of tokens, behind everywhere else.
bool PreferFused(const LayerShape& shape, int64_t tokens) {
  return shape.b_in <= 4 && tokens > 64 && tokens <= 128;
}

}  // namespace

bool CanUse(const GemmTile& tile, const LayerShape& shape, const Device& device) {
  return (!tile.wgmma || (device.wgmma && shape.even)) && SharedBytes(tile) <= device.shared_bytes;
}

bool CanUse(const BlastTile& tile, const LayerShape& shape, const Device& device) {
  return (!tile.wgmma || (device.wgmma && shape.even)) && (tile.cluster == 1 || device.programmatic_launch) &&
         SharedBytes(tile) <= device.shared_bytes;
}

bool CanUse(Program program, const LayerShape& shape, const Device& device, int64_t tokens) {
  if (program == Program::kGeneral) return true;
  // Rows are counted in 32 bits by the tensor-core kernels.
  constexpr int64_t kMaxRows = int64_t{1} << 30;
  const bool small = std::max({shape.in, shape.out, shape.b_in * shape.b_out * shape.r}) < kMaxRows;
  if (device.sm < 80 || (!shape.tensor_types && !shape.int8) || !shape.aligned || !small) return false;
  if (program == Program::kDecode) {
    const DecodeShared shared = {shape.b_in, shape.b_out, shape.structure == BLOCKRANK_CUDA_BLAST,
                                 std::min(tokens, kDecodeMaxTokens), shape.int8 ? 4 : 2};
    return tokens <= (shape.int8 ? kDecodeMaxTokensInt8 : kDecodeMaxTokens) &&
           DecodeSharedBytes(shared) <= device.shared_bytes;
  }
  if (program == Program::kTensor) return true;
  if (shape.int8) return false;
  if (shape.structure != BLOCKRANK_CUDA_BLAST || shape.b_in > 16 || shape.b_out > 16) return false;
  return std::any_of(std::begin(kBlastTiles), std::end(kBlastTiles),
                     [&](const BlastTile& tile) { return CanUse(tile, shape, device); });
}

Choice Choose(const LayerShape& shape, const Device& device, int64_t tokens) {
  const bool coupled = shape.structure == BLOCKRANK_CUDA_BLAST;
  const int64_t k = shape.structure == BLOCKRANK_CUDA_MONARCH ? shape.b_in * shape.r : shape.r;
  if (CanUse(Program::kDecode, shape, device, tokens))
    return {Program::kDecode, -1, -1, "decode", "few tokens: bound by the bytes of the factors", 2};
  if (CanUse(Program::kBlast, shape, device, tokens) && PreferFused(shape, tokens))
    return {Program::kBlast,
            PickBlastTile(shape, device, tokens),
            PickGemmTile(shape, device, tokens, shape.q, k, shape.b_out),
            "fused blast",
            "little t: it stays in shared memory and a launch is saved",
            2};
  if (CanUse(Program::kTensor, shape, device, tokens)) {
    const int64_t rows = shape.structure == BLOCKRANK_CUDA_MONARCH ? shape.b_out * shape.r : shape.r;
    return {Program::kTensor,
            PickGemmTile(shape, device, tokens, rows, shape.p, shape.b_in),
            PickGemmTile(shape, device, tokens, shape.q, k, shape.b_out),
            coupled ? "blast" : "two GEMMs",
            coupled ? "t and z pass through L2, the coupling on tensor cores"
                    : "no coupling: stage 1 writes what stage 2 reads",
            (coupled ? 3 : 2) + (shape.int8 ? 1 : 0)};
  }
  if (shape.float32)
    return {
        Program::kGeneral, -1, -1, "float32", "float32 throughout: on CUDA cores, or in tf32 where allowed",
        coupled ? 3 : 2};
  return {Program::kGeneral, -1, -1, "general", "mixed types, or rows that do not start at 16 bytes",
          coupled ? 3 : 2};
}

// Fitted to dense cuBLASLt of bench/results/gpu-h200-2026-11-23.csv and to the times of version 14 in
// gpu-log.md beside it; other devices and the general kernels were not measured and get no advice.
bool DenseIsFaster(const LayerShape& shape, const Device& device, int64_t tokens) {
  if (!device.wgmma || !CanUse(Program::kTensor, shape, device, tokens)) return false;
  const bool blast = shape.structure == BLOCKRANK_CUDA_BLAST,
             low_rank = shape.structure == BLOCKRANK_CUDA_LOW_RANK;
  const double dense = static_cast<double>(shape.in) * static_cast<double>(shape.out);
  const double ranks = static_cast<double>(shape.r) *
                       (shape.structure == BLOCKRANK_CUDA_MONARCH ? static_cast<double>(shape.b_in) : 1);
  const double kept = ranks * static_cast<double>(shape.in + shape.out) / dense;
  if (tokens <= 4) return false;
  if (tokens <= kDecodeMaxTokens) return shape.in <= 2048 && kept > 0.24;
  if (low_rank) return tokens < 512 || dense < 3.9e6 || shape.in > 4096;
  // Where one dense launch is over in 4 µs, three launches, or two GEMMs, cannot win.
  if (tokens <= 16 && !blast) return dense < 2.4e6 && shape.in <= 1024;
  if (tokens <= 16) return shape.in < 4096 && (kept > 0.35 || dense < 7.9e6);
  const bool much_saved = kept < 0.35 && dense > 7.9e6 && (tokens >= 1024 || !blast);
  const bool large = !blast && dense > 40e6 && tokens <= 128;
  return !much_saved && !large;
}

}  // namespace blockrank::cuda
