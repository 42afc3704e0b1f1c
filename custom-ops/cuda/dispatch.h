// Which kernels and tiles run a layer for a number of tokens: constexpr tables read from the top, the first
// row that fits wins, and the last program fits everything. Nothing here needs CUDA, so that it can be tested
// without a GPU.
#pragma once

#include <cstdint>

#include "blockrank_cuda.h"

namespace blockrank::cuda {

struct Device {
  int sm;  // compute capability, 90 for 9.0
  int multiprocessors;
  int64_t shared_bytes;  // per block, opt-in
  int64_t l2_bytes;
  bool programmatic_launch;  // the loaded code has griddepcontrol (and clusters)
  bool wgmma;                // the loaded code is sm_90a
};

struct LayerShape {
  blockrank_cuda_structure structure;
  bool tensor_types;  // X and the factors share one 16-bit type
  bool int8;          // X is of a 16-bit type, the factors are int8
  bool float32;       // X and the factors are float32, and every row of every block starts at 16 bytes
  bool aligned;  // every row of every block starts at 16 bytes: in, p and r are multiples of 8 (int8: of 16)
  bool even;     // every block is full, which the copy engine's view of the operands needs
  int64_t in, out, b_in, b_out, r, p, q;
};

enum class Program {
  kDecode,   // two streaming launches
  kBlast,    // stage 1 and coupling fused, then a GEMM
  kTensor,   // GEMM, coupling where there is one, GEMM
  kGeneral,  // tiles of float32, or plain kernels
};

// A tile of gemm_kernel.cuh or, with a cluster, of persistent_kernel.cuh: m tokens × n rows of weights.
struct GemmTile {
  const char* name;
  bool wgmma;
  int cluster;  // blocks that share weights in the persistent kernel; 0: a block a tile
  int m, n, stages;
  int64_t min_tokens, min_k;
  double min_fill;  // blocks per multiprocessor below which a smaller tile does better
  const char* reason;
};

// A tile of blast_kernel.cuh: kM ranks × kN tokens, cut over a cluster.
struct BlastTile {
  const char* name;
  bool wgmma;
  int m, n, stages, cluster;
  int64_t min_tokens;
  double min_fill;
  const char* reason;
};

constexpr GemmTile kGemmTiles[] = {
    {"persistent 128x256 cluster 2", true, 2, 128, 256, 4, 129, 1024, 0.9,
     "large products with a long k: fewest bytes an operation"},
    {"persistent 128x128 cluster 2", true, 2, 128, 128, 5, 129, 0, 8.0,
     "many tiles: stores overlap the next tile, weights are shared by two blocks"},
    {"persistent 128x128", true, 1, 128, 128, 5, 129, 0, 1.9, "fewer tiles: without waiting for a neighbour"},
    {"wgmma 128x128", true, 0, 128, 128, 3, 65, 0, 1.9,
     "fills the chip; two blocks a multiprocessor hide each other's ends"},
    {"wgmma 128x64", true, 0, 128, 64, 4, 65, 0, 1.7, "all of 128 tokens in one tile: weights read once"},
    {"wgmma 64x64", true, 0, 64, 64, 4, 1, 0, 0.0, "small layers: as many blocks as possible"},
    {"mma 128x128", false, 0, 128, 128, 3, 65, 0, 0.9,
     "other architectures and ragged blocks, large products"},
    {"mma 64x64", false, 0, 64, 64, 4, 1, 0, 0.0, "other architectures and ragged blocks"},
};
constexpr BlastTile kBlastTiles[] = {
    {"wgmma 64x32 cluster 8", true, 64, 32, 4, 8, 1, 0.0,
     "many small clusters; larger tiles were slower at every size"},
    {"mma 64x64 cluster 4", false, 64, 64, 4, 4, 1, 0.0, "clusters without wgmma, and ragged blocks"},
};

constexpr int kGemmTileCount = sizeof(kGemmTiles) / sizeof(kGemmTiles[0]);
constexpr int kBlastTileCount = sizeof(kBlastTiles) / sizeof(kBlastTiles[0]);
constexpr int64_t kTileAlignment = 1024;  // shared memory spent on aligning the stages

constexpr int64_t SharedBytes(const GemmTile& tile) {
  const int64_t staged = tile.cluster == 0 ? 0 : tile.n == 128 ? 65536 : 32768;  // of two warpgroups
  return int64_t{tile.stages} * (tile.m + tile.n) * 128 + staged + kTileAlignment;
}
constexpr int64_t SharedBytes(const BlastTile& tile) {
  return int64_t{tile.stages} * (tile.m + tile.n) * 128 + int64_t{tile.m / tile.cluster} * 16 * tile.n * 2 +
         kTileAlignment;
}

// One product of the streaming kernels holds 8 tokens; 16 took them longer than the GEMMs (measured on an
// H200).
constexpr int64_t kDecodeMaxTokens = 8;
// int8 factors: more tokens go through in groups of 8, since the GEMMs need the factors widened first.
constexpr int64_t kDecodeMaxTokensInt8 = 16;

// Shared memory of the first decode kernel: the ring of weights; t in parts, of a block and of its cluster,
// in float32 for 8 ranks; which warps have a block of columns; S of the 8 ranks.
struct DecodeShared {
  int64_t b_in, b_out;
  bool coupled;
  int64_t tokens, s_bytes;  // bytes of an element of S
};
constexpr int64_t DecodeSharedBytes(const DecodeShared& d) {
  return 65536 + (3 * d.b_in + 8) * d.tokens * 8 * 4 + (2 * d.b_in + 3) / 4 * 16 +
         (d.coupled ? d.b_in * d.b_out * 8 * d.s_bytes : 0);
}

struct Choice {
  Program program;
  int stage1;  // row of kGemmTiles, or of kBlastTiles for Program::kBlast; −1 where unused
  int stage2;  // row of kGemmTiles, −1 where unused
  const char* name;
  const char* reason;
  int launches;  // kernels per chunk of tokens
};

bool CanUse(const GemmTile& tile, const LayerShape& shape, const Device& device);
bool CanUse(const BlastTile& tile, const LayerShape& shape, const Device& device);
bool CanUse(Program program, const LayerShape& shape, const Device& device, int64_t tokens);

Choice Choose(const LayerShape& shape, const Device& device, int64_t tokens);

// True where a dense GEMM of the vendor's library was measured faster than any kernel here (docs/gpu.md).
bool DenseIsFaster(const LayerShape& shape, const Device& device, int64_t tokens);

}  // namespace blockrank::cuda
