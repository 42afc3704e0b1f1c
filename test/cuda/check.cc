// Checks libblockrank_cuda on a GPU: every kernel, tile, type and structure against float64, and what a
// caller relies on (guards, graphs, streams, independence of tokens, messages). Prints one line per group;
// exits with 1 on a failure.
//
//   check_cuda [random shapes, default 1000] [quick]     quick: tiles and token counts only
//   check_cuda sanitize                                  each kernel a few times, for compute-sanitizer
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "device_run.h"
#include "plan.h"

namespace {

using namespace blockrank::check;
using blockrank::cuda::CanUse;
using blockrank::cuda::Choice;
using blockrank::cuda::Choose;
using blockrank::cuda::kBlastTileCount;
using blockrank::cuda::kBlastTiles;
using blockrank::cuda::kGemmTileCount;
using blockrank::cuda::kGemmTiles;
using blockrank::cuda::Program;
using blockrank::cuda::ShapeOf;

constexpr blockrank_cuda_type kF32 = BLOCKRANK_CUDA_FLOAT32, kF16 = BLOCKRANK_CUDA_FLOAT16,
                              kBf16 = BLOCKRANK_CUDA_BFLOAT16;

// Counts and worst errors of one group of checks.
class Group {
 public:
  explicit Group(const char* name) : name_(name) {}
  ~Group() {
    printf("%-34s %5d checks, %d failed, worst %.2f deviations\n", name_, checks_, failed_, worst_);
    fflush(stdout);
    failures += failed_;
  }
  void Add(const Verdict& verdict) {
    worst_ = std::max(worst_, verdict.worst);
    Expect(verdict.right, verdict.message);
  }
  void Expect(bool condition, const std::string& message) {
    ++checks_;
    if (condition) return;
    if (++failed_ <= 10) printf("FAILED %s: %s\n", name_, message.c_str());
  }

  static int failures;

 private:
  const char* name_;
  int checks_ = 0, failed_ = 0;
  double worst_ = 0;
};
int Group::failures = 0;

blockrank_cuda_layer Layer(blockrank_cuda_structure structure, int64_t in, int64_t out, int64_t b_in,
                           int64_t b_out, int64_t r, blockrank_cuda_type io, blockrank_cuda_type factor) {
  blockrank_cuda_layer layer = {};
  layer.abi_version = BLOCKRANK_CUDA_ABI_VERSION;
  layer.structure = structure;
  layer.io_type = io;
  layer.factor_type = factor;
  layer.in = in;
  layer.out = out;
  layer.b_in = b_in;
  layer.b_out = b_out;
  layer.r = r;
  return layer;
}

// All tokens of a small call; of a large one the first, the last and a few between.
std::vector<int64_t> TokensToCheck(const Case& c) {
  const int64_t work = (c.layer.in + c.layer.out) * c.layer.r *
                       (c.layer.structure == BLOCKRANK_CUDA_MONARCH ? c.layer.b_out : 1);
  const int64_t most = std::max<int64_t>(6, 400'000'000 / std::max<int64_t>(work, 1));
  std::vector<int64_t> tokens;
  if (c.tokens <= most) {
    for (int64_t n = 0; n < c.tokens; ++n) tokens.push_back(n);
  } else {
    for (int64_t i = 0; i < most; ++i) tokens.push_back(i * (c.tokens - 1) / (most - 1));
  }
  return tokens;
}

Verdict Check(const Case& c, int64_t shift = 0) {
  DeviceCase device(c, shift);
  return Compare(c, Reference(c, TokensToCheck(c)), Decode(c.layer.io_type, device.Run()));
}

void CheckTypesAndEpilogues() {
  Group group("types, activations, biases");
  uint64_t seed = 1;
  for (const auto io : {kF32, kF16, kBf16})
    for (const auto factor : {kF32, kF16, kBf16})
      for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH, BLOCKRANK_CUDA_LOW_RANK})
        for (int activation = 0; activation < 5; ++activation) {
          const int64_t b_in = structure == BLOCKRANK_CUDA_LOW_RANK ? 1 : 3,
                        b_out = structure == BLOCKRANK_CUDA_LOW_RANK ? 1 : 4;
          blockrank_cuda_layer layer = Layer(structure, 96, 112, b_in, b_out, 24, io, factor);
          layer.activation = static_cast<blockrank_cuda_activation>(activation);
          layer.bias = static_cast<blockrank_cuda_bias>(activation % 3);
          if (structure == BLOCKRANK_CUDA_MONARCH)
            layer.output_order = static_cast<blockrank_cuda_order>(activation % 2);
          for (const int64_t tokens : {1, 16, 17, 70}) group.Add(Check(RandomCase(layer, tokens, ++seed)));
        }
}

void CheckInt8() {
  Group group("int8 factors");
  uint64_t seed = 5000;
  for (const auto io : {kF32, kF16, kBf16})
    for (const auto scale : {kF32, kF16})
      for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH, BLOCKRANK_CUDA_LOW_RANK})
        for (const int64_t rank : {24, 48, 160})
          for (const int64_t tokens : {1, 3, 8, 9, 16, 17, 70}) {
            const bool low_rank = structure == BLOCKRANK_CUDA_LOW_RANK;
            const int64_t b_in = low_rank ? 1 : 5, b_out = low_rank ? 1 : 4;
            blockrank_cuda_layer layer =
                Layer(structure, 400, 112, b_in, b_out, rank, io, BLOCKRANK_CUDA_INT8);
            layer.scale_type = scale;
            layer.bias = static_cast<blockrank_cuda_bias>(seed % 3);
            if (structure == BLOCKRANK_CUDA_MONARCH)
              layer.output_order = static_cast<blockrank_cuda_order>(seed % 2);
            group.Add(Check(RandomCase(layer, tokens, ++seed)));
          }
  // Columns split over a cluster, and real sizes.
  for (const auto& dims :
       std::vector<std::vector<int64_t>>{{8192, 2048, 16, 768}, {3072, 768, 6, 192}, {4096, 4096, 16, 1024}})
    for (const int64_t tokens : {1, 8, 16, 40}) {
      blockrank_cuda_layer layer = Layer(BLOCKRANK_CUDA_BLAST, dims[0], dims[1], dims[2], dims[2], dims[3],
                                         kBf16, BLOCKRANK_CUDA_INT8);
      layer.scale_type = tokens % 16 == 0 ? kF16 : kF32;
      group.Add(Check(RandomCase(layer, tokens, ++seed)));
    }
}

// float32 on its tiles (strides of 4 elements) and off them (rank 25), exact and in tf32.
void CheckFloat32() {
  Group group("float32 and tf32");
  uint64_t seed = 7000;
  for (const int tf32 : {0, 1})
    for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH, BLOCKRANK_CUDA_LOW_RANK})
      for (const int64_t rank : {25, 52, 160})
        for (const int64_t tokens : {1, 5, 63, 64, 65, 130, 300}) {
          const bool low_rank = structure == BLOCKRANK_CUDA_LOW_RANK;
          blockrank_cuda_layer layer =
              Layer(structure, 404, 333, low_rank ? 1 : 5, low_rank ? 1 : 4, rank, kF32, kF32);
          layer.allow_tf32 = tf32;
          layer.activation = static_cast<blockrank_cuda_activation>(seed % 5);
          layer.bias = static_cast<blockrank_cuda_bias>(seed % 3);
          if (structure == BLOCKRANK_CUDA_MONARCH)
            layer.output_order = static_cast<blockrank_cuda_order>(seed % 2);
          group.Add(Check(RandomCase(layer, tokens, ++seed)));
        }
  // Large tiles, and rows too long for a chunk of one tile.
  for (const int tf32 : {0, 1})
    for (const int64_t tokens : {1, 200, 700}) {
      blockrank_cuda_layer layer = Layer(BLOCKRANK_CUDA_BLAST, 2048, 2048, 16, 16, 256, kF32, kF32);
      layer.allow_tf32 = tf32;
      group.Add(Check(RandomCase(layer, tokens, ++seed)));
    }
}

void CheckTokenCounts() {
  Group group("token counts around tiles");
  uint64_t seed = 10000;
  for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH, BLOCKRANK_CUDA_LOW_RANK})
    for (const auto type : {kF16, kBf16})
      for (const int64_t tokens :
           {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257, 600}) {
        const bool low_rank = structure == BLOCKRANK_CUDA_LOW_RANK;
        group.Add(Check(RandomCase(
            Layer(structure, 264, 312, low_rank ? 1 : 3, low_rank ? 1 : 6, 72, type, type), tokens, ++seed)));
      }
}

void CheckBlocks() {
  Group group("1 … 64 blocks, ragged");
  uint64_t seed = 20000;
  for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH})
    for (const int64_t b : {1, 2, 3, 5, 8, 9, 15, 16, 17, 31, 32, 64})
      for (const int64_t tokens : {1, 40}) {
        for (const auto type : {kF16, kBf16, kF32}) {
          // p = 24 and q = 13 with a last block that is shorter.
          const int64_t in = b * 24 - (b > 1 ? 8 : 0), out = b * 13 - (b > 6 ? 4 : 0);
          group.Add(Check(RandomCase(Layer(structure, in, out, b, b, 16, type, type), tokens, ++seed)));
        }
        group.Add(Check(RandomCase(Layer(structure, b * 16, 90, b, std::min<int64_t>(b, 5), 8, kF16, kF16),
                                   tokens, ++seed)));
      }
}

// Every row of the tile tables, whether or not the dispatcher would choose it; dims: in, out, b_in, b_out, r.
void CheckTilesOn(Group& group, blockrank_cuda_type type, int64_t tokens, const std::vector<int64_t>& dims,
                  uint64_t seed) {
  const auto layer = Layer(BLOCKRANK_CUDA_BLAST, dims[0], dims[1], dims[2], dims[3], dims[4], type, type);
  const Case c = RandomCase(layer, tokens, seed);
  DeviceCase device(c);
  const Expected expected = Reference(c, TokensToCheck(c));
  const auto run = [&](const Choice& choice) {
    Verdict verdict = Compare(
        c, expected, Decode(type, device.Run([&](cudaStream_t stream) {
          CheckCuda(Enqueue(device.plan(), choice, device.tensors(), tokens, device.workspace(), stream),
                    "Enqueue");
        })));
    const char* stage1 =
        choice.program == Program::kBlast ? kBlastTiles[choice.stage1].name : kGemmTiles[choice.stage1].name;
    verdict.message = std::string(stage1) + " / " + kGemmTiles[choice.stage2].name + ": " + verdict.message;
    group.Add(verdict);
  };
  for (int row = 0; row < kBlastTileCount; ++row)
    if (CanUse(kBlastTiles[row], ShapeOf(device.plan()), device.plan().device))
      run({Program::kBlast, row, kGemmTileCount - 1, "", "", 2});
  // Unfused BLAST runs each GEMM tile as stage 1 and as stage 2; its scratch is t and z, what the general
  // path has too.
  for (int row = 0; row < kGemmTileCount; ++row)
    if (CanUse(kGemmTiles[row], ShapeOf(device.plan()), device.plan().device))
      run({Program::kTensor, row, row, "", "", 3});
}

void CheckTiles() {
  Group group("every tile");
  uint64_t seed = 30000;
  for (const auto type : {kF16, kBf16})
    for (const int64_t tokens : {5, 130, 300})
      for (const auto& dims : std::vector<std::vector<int64_t>>{
               {1152, 640, 9, 4, 136}, {640, 784, 16, 16, 264}, {632, 776, 16, 16, 264}, {96, 40, 2, 3, 8}})
        CheckTilesOn(group, type, tokens, dims, ++seed);
}

// Every kernel on the smallest shapes that reach its branches: clusters, splits of k, rings that wrap, tails.
void CheckForSanitizer() {
  Group group("each kernel a few times");
  uint64_t seed = 90000;
  for (const auto structure : {BLOCKRANK_CUDA_BLAST, BLOCKRANK_CUDA_MONARCH, BLOCKRANK_CUDA_LOW_RANK}) {
    const int64_t b = structure == BLOCKRANK_CUDA_LOW_RANK ? 1 : 4;
    for (const int64_t tokens : {1, 8, 16, 70})
      for (const auto factor : {kBf16, BLOCKRANK_CUDA_INT8}) {
        blockrank_cuda_layer layer = Layer(structure, 2048, 72, b, b, 32, kBf16, factor);
        layer.scale_type = kF16;
        layer.bias = BLOCKRANK_CUDA_BIAS_VECTOR;
        group.Add(Check(RandomCase(layer, tokens, ++seed)));
      }
    group.Add(Check(RandomCase(Layer(structure, 136, 72, b, b, 24, kBf16, kBf16), 40, ++seed)));  // mma.sync
    for (const int tf32 : {0, 1}) {
      blockrank_cuda_layer layer = Layer(structure, 136, 72, b, b, 24, kF32, kF32);
      layer.allow_tf32 = tf32;
      group.Add(Check(RandomCase(layer, 70, ++seed)));
    }
    group.Add(Check(RandomCase(Layer(structure, 100, 30, b, b, 7, kF16, kF32), 9, ++seed)));  // general
  }
  CheckTilesOn(group, kBf16, 300, {640, 784, 16, 16, 264}, ++seed);
  CheckTilesOn(group, kBf16, 130, {256, 40, 2, 3, 8}, ++seed);
}

// The reference's 19 layers (BLAST and Monarch), a few tokens of each checked.
void CheckRealLayers() {
  Group group("real layers");
  uint64_t seed = 40000;
  const int64_t layers[][7] = {// in, out, BLAST b, r, Monarch b, r per block, tokens
                               {11008, 4096, 16, 1488, 16, 96, 1024}, {4096, 11008, 16, 1488, 16, 96, 1024},
                               {4096, 4096, 16, 1024, 16, 64, 1024},  {8192, 2048, 16, 768, 16, 48, 1024},
                               {2048, 8192, 16, 512, 16, 32, 1024},   {2048, 2048, 16, 256, 16, 16, 1024},
                               {768, 3072, 6, 192, 4, 48, 384},       {3072, 768, 6, 192, 4, 48, 384},
                               {768, 2304, 3, 128, 4, 32, 197},       {3072, 768, 3, 128, 4, 32, 785},
                               {1152, 6912, 9, 256, 0, 0, 16384},     {1152, 3456, 9, 384, 0, 0, 16384}};
  for (const auto& l : layers) {
    const auto type = ++seed % 2 == 0 ? kBf16 : kF16;
    std::vector<Case> cases = {
        RandomCase(Layer(BLOCKRANK_CUDA_BLAST, l[0], l[1], l[2], l[2], l[3], type, type), l[6], seed)};
    if (l[4] > 0)
      cases.push_back(
          RandomCase(Layer(BLOCKRANK_CUDA_MONARCH, l[0], l[1], l[4], l[4], l[5], type, type), l[6], seed));
    for (Case& c : cases)
      for (const int64_t tokens : {l[6], int64_t{128}, int64_t{16}, int64_t{1}}) {
        c.tokens = tokens;
        c.x.values.resize(tokens * l[0]);
        c.x.bytes.resize(tokens * l[0] * SizeOf(type));
        group.Add(Check(c));
      }
  }
}

void CheckRandomShapes(int count) {
  Group group("random shapes");
  std::mt19937_64 random(7);
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % (high - low + 1));
  };
  for (int i = 0; i < count; ++i) {
    const auto structure = static_cast<blockrank_cuda_structure>(draw(0, 2));
    const int64_t step = draw(0, 2) == 0 ? 1 : 8;  // two in three on the tensor-core path's alignment
    const auto blocks = [&] {
      return structure == BLOCKRANK_CUDA_LOW_RANK ? 1 : draw(0, 3) == 0 ? draw(1, 64) : draw(1, 16);
    };
    const int64_t b_in = blocks(), b_out = blocks(), p = draw(1, 24) * step, q = draw(1, 40);
    const int64_t in = b_in * p - (b_in > 1 ? std::min(draw(0, p - 1), b_in - 1) / step * step : 0);
    const int64_t out = b_out * q - (b_out > 1 ? draw(0, std::min(q, b_out) - 1) : 0);
    const auto io = static_cast<blockrank_cuda_type>(draw(0, 2));
    const auto factor = draw(0, 3) == 0 ? static_cast<blockrank_cuda_type>(draw(0, 2)) : io;
    blockrank_cuda_layer layer = Layer(structure, in, out, b_in, b_out, draw(1, 24) * step, io, factor);
    layer.activation = static_cast<blockrank_cuda_activation>(draw(0, 4));
    layer.bias = static_cast<blockrank_cuda_bias>(draw(0, 2));
    if (structure == BLOCKRANK_CUDA_MONARCH)
      layer.output_order = static_cast<blockrank_cuda_order>(draw(0, 1));
    const int64_t tokens = draw(0, 2) == 0 ? draw(1, 16) : draw(1, 150);
    const int64_t shift = draw(0, 9) == 0 ? SizeOf(kF32) : 0;
    group.Add(Check(RandomCase(layer, tokens, 50000 + i), shift));
  }
}

std::vector<Case> SampleCases() {
  std::vector<Case> cases;
  uint64_t seed = 60000;
  for (const int64_t tokens : {1, 16, 128, 197})
    for (const auto type : {kF32, kBf16}) {
      cases.push_back(
          RandomCase(Layer(BLOCKRANK_CUDA_BLAST, 768, 1024, 6, 6, 192, type, type), tokens, ++seed));
      cases.push_back(
          RandomCase(Layer(BLOCKRANK_CUDA_BLAST, 640, 640, 20, 20, 64, type, type), tokens, ++seed));
      cases.push_back(
          RandomCase(Layer(BLOCKRANK_CUDA_MONARCH, 768, 1024, 4, 4, 48, type, type), tokens, ++seed));
      cases.push_back(
          RandomCase(Layer(BLOCKRANK_CUDA_LOW_RANK, 768, 1024, 1, 1, 192, type, type), tokens, ++seed));
    }
  return cases;
}

void CheckGraphReplay() {
  Group group("graph replay equals launch");
  for (const Case& c : SampleCases()) {
    DeviceCase device(c);
    const std::vector<uint8_t> direct = device.Run();
    const std::vector<uint8_t> replayed = device.Run([&](cudaStream_t stream) {
      cudaGraph_t graph;
      cudaGraphExec_t executable;
      CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
      device.Launch(stream);
      device.Launch(stream);  // a second call reuses the scratch of the first
      CheckCuda(cudaStreamEndCapture(stream, &graph), "end capture");
      CheckCuda(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
      for (int i = 0; i < 3; ++i) CheckCuda(cudaGraphLaunch(executable, stream), "replay");
      CheckCuda(cudaStreamSynchronize(stream), "replay");
      CheckCuda(cudaGraphExecDestroy(executable), "destroy");
      CheckCuda(cudaGraphDestroy(graph), "destroy");
    });
    group.Expect(direct == replayed, Describe(c));
  }
}

// Token n's output has the same bits whatever the other tokens hold, NaN included.
void CheckIndependence() {
  Group group("tokens are independent");
  for (const Case& c : SampleCases()) {
    if (c.tokens < 2) continue;
    DeviceCase device(c);
    const std::vector<uint8_t> before = device.Run();
    const size_t row_in = c.x.bytes.size() / c.tokens, row_out = before.size() / c.tokens,
                 kept = c.tokens / 2;
    std::vector<uint8_t> x(c.x.bytes.size(), 0xFF);
    std::copy_n(c.x.bytes.begin() + kept * row_in, row_in, x.begin() + kept * row_in);
    device.ReplaceInput(x);
    const std::vector<uint8_t> after = device.Run();
    group.Expect(std::equal(before.begin() + kept * row_out, before.begin() + (kept + 1) * row_out,
                            after.begin() + kept * row_out),
                 Describe(c));
    const auto others = Decode(c.layer.io_type, after);
    group.Expect(others[0] != others[0], "NaN of a token's own input must reach its output: " + Describe(c));
  }
}

void CheckTwoStreams() {
  Group group("two streams");
  const auto cases = SampleCases();
  for (size_t i = 0; i + 1 < cases.size(); i += 2) {
    DeviceCase first(cases[i]), second(cases[i + 1]);
    const auto alone = second.Run();
    const auto expected = first.Run();
    cudaStream_t other;
    CheckCuda(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), "stream");
    const auto together = first.Run([&](cudaStream_t stream) {
      for (int repeat = 0; repeat < 10; ++repeat) {
        first.Launch(stream);
        second.Launch(other);
      }
      CheckCuda(cudaStreamSynchronize(other), "other stream");
    });
    CheckCuda(cudaStreamDestroy(other), "stream");
    group.Expect(together == expected, Describe(cases[i]));
    group.Expect(second.Run([](cudaStream_t) {}) != alone,
                 "a run that enqueues nothing must leave the poison");
  }
}

void CheckMessages() {
  Group group("errors and edges");
  const Case c = RandomCase(Layer(BLOCKRANK_CUDA_BLAST, 64, 64, 4, 4, 16, kF16, kF16), 3, 1);
  DeviceCase device(c);
  char message[256];
  cudaStream_t stream;
  CheckCuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  const auto launch = [&](const blockrank_cuda_tensors& t, int64_t tokens, size_t bytes, cudaStream_t on) {
    return blockrank_cuda_launch(&device.plan(), &t, tokens, device.workspace(), bytes, on, message,
                                 sizeof message);
  };
  const auto fails = [&](blockrank_cuda_status status, const char* part) {
    group.Expect(status == BLOCKRANK_CUDA_INVALID_ARGUMENT && strstr(message, part) != nullptr,
                 std::string(part) + ": " + message);
  };
  fails(launch(device.tensors(), 3, device.workspace_bytes(), nullptr), "default stream");
  fails(launch(device.tensors(), 3, 0, stream), "workspace");
  fails(launch(device.tensors(), -1, device.workspace_bytes(), stream), "tokens");
  blockrank_cuda_tensors broken = device.tensors();
  broken.s = nullptr;
  fails(launch(broken, 3, device.workspace_bytes(), stream), "BLAST");
  broken = device.tensors();
  broken.b = broken.x;
  fails(launch(broken, 3, device.workspace_bytes(), stream), "bias");
  group.Expect(launch(device.tensors(), 0, 0, stream) == BLOCKRANK_CUDA_OK, "no tokens is no work");
  CheckCuda(cudaStreamDestroy(stream), "stream");

  const auto refuses = [&](blockrank_cuda_layer layer, blockrank_cuda_status status, const char* part) {
    blockrank_cuda_plan* plan = nullptr;
    const auto got = blockrank_cuda_plan_create(&layer, &plan, message, sizeof message);
    group.Expect(got == status && plan == nullptr && strstr(message, part) != nullptr,
                 std::string(part) + ": " + message);
  };
  blockrank_cuda_layer layer = c.layer;
  layer.abi_version = 0;
  refuses(layer, BLOCKRANK_CUDA_INVALID_ARGUMENT, "abi_version");
  layer = c.layer;
  layer.b_in = 60;  // p = 2: blocks 33 … 60 would be empty
  refuses(layer, BLOCKRANK_CUDA_INVALID_ARGUMENT, "b_in 60");
  layer = c.layer;
  layer.output_order = BLOCKRANK_CUDA_INTERLEAVED;
  refuses(layer, BLOCKRANK_CUDA_INVALID_ARGUMENT, "Monarch");
  layer = c.layer;
  layer.device = 99;
  refuses(layer, BLOCKRANK_CUDA_NO_DEVICE, "99");

  // The comparison itself can fail: one wrong element, and one NaN.
  const Expected expected = Reference(c, TokensToCheck(c));
  std::vector<double> y = Decode(kF16, device.Run());
  group.Expect(Compare(c, expected, y).right, "right before the change");
  const double kept = y[77];
  y[77] += 0.05;
  group.Expect(!Compare(c, expected, y).right, "an error of 0.05 must be seen");
  y[77] = std::nan("");
  group.Expect(!Compare(c, expected, y).right, "NaN must be seen");
  y[77] = kept;
}

}  // namespace

int main(int argc, char** argv) {
  const bool sanitize = argc > 1 && strcmp(argv[1], "sanitize") == 0;
  const int shapes = argc > 1 ? atoi(argv[1]) : 1000;
  const bool quick = argc > 2 && strcmp(argv[2], "quick") == 0;
  try {
    if (sanitize) {
      CheckForSanitizer();
      return Group::failures == 0 ? 0 : 1;
    }
    CheckMessages();
    CheckTiles();
    CheckTokenCounts();
    CheckInt8();
    CheckFloat32();
    if (!quick) {
      CheckTypesAndEpilogues();
      CheckBlocks();
      CheckGraphReplay();
      CheckIndependence();
      CheckTwoStreams();
      CheckRealLayers();
    }
    CheckRandomShapes(shapes);
  } catch (const std::exception& error) {
    printf("FAILED: %s\n", error.what());
    return 1;
  }
  printf(Group::failures == 0 ? "all right\n" : "%d FAILED\n", Group::failures);
  return Group::failures == 0 ? 0 : 1;
}
