// Times the 19 layers on a GPU: dense bf16 and fp8 and a low-rank pair by cuBLASLt, and this project's
// kernels, in one process.
//
//   bench_cuda table FILE.csv      every layer × tokens 1, 16, 128 and its own; a summary last
//   bench_cuda ours FILE.csv       this project's kernels alone
//   bench_cuda float32 FILE.csv    float32 and tf32, dense and ours, for a few layers
//   bench_cuda memory FILE.csv     device memory of one layer over batch sizes
//   bench_cuda sweep FILE.csv      every tile of each stage where the dispatcher has a choice
//
// Rules: bf16, time per call by CUDA-graph replay, median of 9; at 128 tokens and fewer every call finds its
// weights in memory (copies that exceed the L2 several times are rotated). Floor: the larger of bytes / 4.3
// TB/s and operations / 790 TFLOP/s, the two ceilings measured on an H200, with no intermediate.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "blockrank_cuda.h"
#include "layers.h"
#include "library_gemm.h"
#include "plan.h"

namespace {

using namespace blockrank::bench;
namespace kernels = blockrank::cuda;

constexpr double kBytesPerMicrosecond = 4.3e6, kOperationsPerMicrosecond = 790e6;

double FloorMicroseconds(double bytes, double operations) {
  return std::max(bytes / kBytesPerMicrosecond, operations / kOperationsPerMicrosecond);
}

enum class Types { kBf16, kInt8, kFloat32, kTf32 };  // of X and the factors; int8: the factors beside bf16

// One of our layers with rotated copies of its factors.
class OurLayer {
 public:
  OurLayer(blockrank_cuda_structure structure, int64_t in, int64_t out, int64_t b, int64_t r, int64_t tokens,
           bool from_memory, Types types = Types::kBf16)
      : tokens_(tokens) {
    const bool int8 = types == Types::kInt8, floats = types == Types::kFloat32 || types == Types::kTf32;
    io_size_ = floats ? 4 : 2;
    size_ = int8 ? 1 : io_size_;
    const bool monarch = structure == BLOCKRANK_CUDA_MONARCH;
    layer_.abi_version = BLOCKRANK_CUDA_ABI_VERSION;
    layer_.structure = structure;
    layer_.io_type = floats ? BLOCKRANK_CUDA_FLOAT32 : BLOCKRANK_CUDA_BFLOAT16;
    layer_.factor_type = int8 ? BLOCKRANK_CUDA_INT8 : layer_.io_type;
    layer_.allow_tf32 = types == Types::kTf32;
    layer_.scale_type = BLOCKRANK_CUDA_FLOAT16;
    layer_.in = in;
    layer_.out = out;
    layer_.b_in = layer_.b_out = b;
    layer_.r = r;
    char message[256];
    blockrank_cuda_plan* plan = nullptr;
    if (blockrank_cuda_plan_create(&layer_, &plan, message, sizeof message) != BLOCKRANK_CUDA_OK)
      throw std::runtime_error(message);
    plan_.reset(plan);
    v_ = (monarch ? b : 1) * r * in;
    s_ = structure == BLOCKRANK_CUDA_BLAST ? b * b * r : 0;
    u_ = (monarch ? b : 1) * r * out;
    scales_ = int8 ? (b * r + out) * (monarch ? b : 1) : 0;
    copies_ = CopiesFor(CopyBytes(), from_memory);
    factors_ = std::make_unique<DeviceBuffer>(copies_ * CopyBytes());
    FillRandom(factors_->data(), copies_ * CopyBytes() / 2, 1 / std::sqrt(static_cast<float>(r)), 1);
    blockrank_cuda_workspace_size(plan, tokens, &workspace_bytes_);
    workspace_ = std::make_unique<DeviceBuffer>(workspace_bytes_);
  }

  double Floor() const {
    const double operations = 2.0 * static_cast<double>(tokens_) * static_cast<double>(v_ + s_ + u_);
    return FloorMicroseconds(static_cast<double>(CopyBytes() + io_size_ * tokens_ * (layer_.in + layer_.out)),
                             operations);
  }

  blockrank_cuda_tensors Tensors(int copy, const void* x, void* y) const {
    const uint8_t* v = factors_->data() + copy * CopyBytes();
    const uint8_t *u = v + v_ * size_, *s = u + u_ * size_, *scales = s + s_ * io_size_;
    return {x,
            v,
            s_ > 0 ? s : nullptr,
            u,
            nullptr,
            y,
            scales_ > 0 ? scales : nullptr,
            scales_ > 0 ? scales + layer_.b_in * layer_.r * 2 : nullptr};
  }

  double Time(const void* x, void* y) const {
    return MicrosecondsPerCall(copies_, [&](int copy, cudaStream_t stream) {
      const blockrank_cuda_tensors tensors = Tensors(copy, x, y);
      char message[256];
      if (blockrank_cuda_launch(plan_.get(), &tensors, tokens_, workspace_->data(), workspace_bytes_, stream,
                                message, sizeof message) != BLOCKRANK_CUDA_OK)
        throw std::runtime_error(message);
    });
  }

  void Once(const void* x, void* y) const {
    cudaStream_t stream;
    char message[256];
    const blockrank_cuda_tensors tensors = Tensors(0, x, y);
    CheckCuda(cudaStreamCreate(&stream), "stream");
    if (blockrank_cuda_launch(plan_.get(), &tensors, tokens_, workspace_->data(), workspace_bytes_, stream,
                              message, sizeof message) != BLOCKRANK_CUDA_OK)
      throw std::runtime_error(message);
    CheckCuda(cudaStreamSynchronize(stream), "launch");
    CheckCuda(cudaStreamDestroy(stream), "stream");
  }

  double TimeChoice(const kernels::Choice& choice, const void* x, void* y) const {
    return MicrosecondsPerCall(
        copies_,
        [&](int copy, cudaStream_t stream) {
          const blockrank_cuda_tensors tensors = Tensors(copy, x, y);
          CheckCuda(kernels::Enqueue(*plan_, choice, tensors, tokens_, workspace_->data(), stream),
                    "Enqueue");
        },
        5);
  }

  // One stage alone: 1 or 2, or 3 for the coupling in place.
  double TimeStage(int stage, const kernels::Choice& choice, const void* x, void* y) const {
    const int64_t chunk = kernels::TokensPerChunk(*plan_, choice, tokens_);
    return MicrosecondsPerCall(
        copies_,
        [&](int copy, cudaStream_t stream) {
          const blockrank_cuda_tensors tensors = Tensors(copy, x, y);
          for (int64_t token0 = 0; token0 < tokens_; token0 += chunk) {
            const kernels::Call call = {
                plan_.get(), &tensors, token0, std::min(chunk, tokens_ - token0), workspace_->data(), stream};
            CheckCuda(stage == 2   ? kernels::EnqueueTensorStage2(call, choice, call.workspace)
                      : stage == 3 ? kernels::EnqueueTensorCoupling(call, call.workspace, call.workspace)
                      : choice.program == kernels::Program::kBlast
                          ? kernels::EnqueueBlastStage1(call, choice)
                          : kernels::EnqueueTensorStage1(call, choice, call.workspace),
                      "stage");
          }
        },
        5);
  }

  const blockrank_cuda_plan& plan() const { return *plan_; }

 private:
  struct Destroy {
    void operator()(blockrank_cuda_plan* plan) const { blockrank_cuda_plan_destroy(plan); }
  };
  int64_t CopyBytes() const { return ((v_ + u_) * size_ + s_ * io_size_ + scales_ * 2 + 255) / 256 * 256; }

  blockrank_cuda_layer layer_ = {};
  int64_t tokens_, size_ = 2, io_size_ = 2, v_, s_, u_, scales_;
  int copies_;
  size_t workspace_bytes_ = 0;
  std::unique_ptr<blockrank_cuda_plan, Destroy> plan_;
  std::unique_ptr<DeviceBuffer> factors_, workspace_;
};

struct Row {
  double dense, fp8, pair, blast, blast_int8, monarch, low_rank, dense_floor, blast_floor, monarch_floor,
      low_rank_floor;
};

class Bench {
 public:
  Bench() : blas_workspace_(LibraryGemm::kWorkspaceBytes) {
    CheckBlas(cublasLtCreate(&blas_), "cublasLtCreate");
  }
  ~Bench() { cublasLtDestroy(blas_); }

  Row Measure(const BenchLayer& l, int64_t tokens) {
    // The library's tuning of large products heats the chip; ours would be timed at its lower clocks.
    const auto cool_down = [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(tokens > 128 ? 150 : 0));
    };
    const bool from_memory = tokens <= 128;
    const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2);
    FillRandom(x.data(), tokens * l.in, 1.0f, 2);
    Row row = {};
    row.dense = Dense(l, tokens, from_memory, CUDA_R_16BF, 2, x, y);
    row.fp8 = Dense(l, tokens, from_memory, CUDA_R_8F_E4M3, 1, x, y);
    FillRandom(x.data(), tokens * l.in, 1.0f, 2);
    row.pair = Pair(l, tokens, from_memory, x, y);
    const OurLayer blast(BLOCKRANK_CUDA_BLAST, l.in, l.out, l.blast_b, l.blast_r, tokens, from_memory);
    cool_down();
    row.blast = blast.Time(x.data(), y.data());
    row.blast_floor = blast.Floor();
    const OurLayer int8(BLOCKRANK_CUDA_BLAST, l.in, l.out, l.blast_b, l.blast_r, tokens, from_memory,
                        Types::kInt8);
    cool_down();
    row.blast_int8 = int8.Time(x.data(), y.data());
    row.monarch = row.monarch_floor = std::nan("");
    if (l.monarch_b > 0) {
      const OurLayer monarch(BLOCKRANK_CUDA_MONARCH, l.in, l.out, l.monarch_b, l.monarch_r, tokens,
                             from_memory);
      cool_down();
      row.monarch = monarch.Time(x.data(), y.data());
      row.monarch_floor = monarch.Floor();
    }
    const OurLayer low_rank(BLOCKRANK_CUDA_LOW_RANK, l.in, l.out, 1, l.blast_r, tokens, from_memory);
    cool_down();
    row.low_rank = low_rank.Time(x.data(), y.data());
    row.low_rank_floor = low_rank.Floor();
    row.dense_floor = FloorMicroseconds(2.0 * static_cast<double>(l.in * l.out + tokens * (l.in + l.out)),
                                        2.0 * static_cast<double>(tokens * l.in * l.out));
    return row;
  }

 private:
  double Dense(const BenchLayer& l, int64_t tokens, bool from_memory, cudaDataType_t type, int64_t size,
               const DeviceBuffer& x, const DeviceBuffer& y) {
    LibraryGemm gemm(blas_, l.in, l.out, tokens, type, blas_workspace_.data());
    if (!gemm.available()) return std::nan("");
    const int64_t bytes = l.in * l.out * size;
    const int copies = CopiesFor(bytes, from_memory);
    const DeviceBuffer weights(copies * bytes);
    if (size == 1) {
      FillRandomFp8(weights.data(), copies * bytes, 3);
      FillRandomFp8(x.data(), tokens * l.in, 4);
    } else {
      FillRandom(weights.data(), copies * l.in * l.out, 0.02f, 3);
    }
    const auto weight = [&](int i) { return weights.data() + i * bytes; };
    gemm.Tune(copies, x.data(), weight, y.data());
    std::this_thread::sleep_for(std::chrono::milliseconds(from_memory ? 0 : 150));
    return MicrosecondsPerCall(
        copies, [&](int i, cudaStream_t s) { gemm.Enqueue(x.data(), weight(i), y.data(), s); });
  }

  double Pair(const BenchLayer& l, int64_t tokens, bool from_memory, const DeviceBuffer& x,
              const DeviceBuffer& y) {
    const int64_t r = l.blast_r, v_bytes = l.in * r * 2, bytes = v_bytes + r * l.out * 2;
    const int copies = CopiesFor(bytes, from_memory);
    const DeviceBuffer weights(copies * bytes), t(tokens * r * 2);
    FillRandom(weights.data(), copies * bytes / 2, 0.03f, 5);
    LibraryGemm first(blas_, l.in, r, tokens, CUDA_R_16BF, blas_workspace_.data());
    LibraryGemm second(blas_, r, l.out, tokens, CUDA_R_16BF, blas_workspace_.data());
    const auto v = [&](int i) { return weights.data() + i * bytes; };
    const auto u = [&](int i) { return weights.data() + i * bytes + v_bytes; };
    first.Tune(copies, x.data(), v, t.data());
    second.Tune(copies, t.data(), u, y.data());
    std::this_thread::sleep_for(std::chrono::milliseconds(from_memory ? 0 : 150));
    return MicrosecondsPerCall(copies, [&](int i, cudaStream_t s) {
      first.Enqueue(x.data(), v(i), t.data(), s);
      second.Enqueue(t.data(), u(i), y.data(), s);
    });
  }

  cublasLtHandle_t blas_;
  DeviceBuffer blas_workspace_;
};

void Table(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == nullptr) throw std::runtime_error("cannot write the CSV file");
  fprintf(file,
          "network,layer,in_features,out_features,tokens,dense_us,dense_fp8_us,two_gemms_us,blast_us,blast_"
          "int8_us,monarch_"
          "us,low_rank_us,"
          "dense_floor_us,blast_floor_us,monarch_floor_us,low_rank_floor_us\n");
  Bench bench;
  for (const BenchLayer& l : kLayers) {
    for (const int64_t tokens : {int64_t{1}, int64_t{16}, int64_t{128}, l.tokens}) {
      const Row r = bench.Measure(l, tokens);
      fprintf(file, "%s,%s,%lld,%lld,%lld,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f\n",
              l.network, l.name, static_cast<long long>(l.in), static_cast<long long>(l.out),
              static_cast<long long>(tokens), r.dense, r.fp8, r.pair, r.blast, r.blast_int8, r.monarch,
              r.low_rank, r.dense_floor, r.blast_floor, r.monarch_floor, r.low_rank_floor);
      fflush(file);
    }
  }
  fclose(file);
}

// Ours alone, in a few seconds.
void Ours(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == nullptr) throw std::runtime_error("cannot write the CSV file");
  fprintf(file, "network,layer,tokens,blast_us,blast_int8_us,monarch_us,low_rank_us\n");
  for (const BenchLayer& l : kLayers)
    for (const int64_t tokens : {int64_t{1}, int64_t{16}, int64_t{128}, l.tokens}) {
      const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2);
      FillRandom(x.data(), tokens * l.in, 1.0f, 2);
      const auto time = [&](blockrank_cuda_structure structure, int64_t b, int64_t r,
                            Types types = Types::kBf16) {
        if (b == 0) return std::nan("");
        return OurLayer(structure, l.in, l.out, b, r, tokens, tokens <= 128, types).Time(x.data(), y.data());
      };
      const double blast = time(BLOCKRANK_CUDA_BLAST, l.blast_b, l.blast_r),
                   int8 = time(BLOCKRANK_CUDA_BLAST, l.blast_b, l.blast_r, Types::kInt8),
                   monarch = time(BLOCKRANK_CUDA_MONARCH, l.monarch_b, l.monarch_r),
                   low_rank = time(BLOCKRANK_CUDA_LOW_RANK, 1, l.blast_r);
      fprintf(file, "%s,%s,%lld,%.2f,%.2f,%.2f,%.2f\n", l.network, l.name, static_cast<long long>(tokens),
              blast, int8, monarch, low_rank);
      fflush(file);
    }
  fclose(file);
}

// float32 throughout: dense by cuBLASLt and BLAST by ours, exact and in tf32.
void Float32(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == nullptr) throw std::runtime_error("cannot write the CSV file");
  fprintf(file, "network,layer,tokens,dense_us,dense_tf32_us,blast_us,blast_tf32_us\n");
  cublasLtHandle_t blas;
  CheckBlas(cublasLtCreate(&blas), "cublasLtCreate");
  const DeviceBuffer workspace(LibraryGemm::kWorkspaceBytes);
  for (const int index : {0, 2, 8, 12})
    for (const int64_t tokens : {int64_t{1}, int64_t{16}, int64_t{128}, kLayers[index].tokens}) {
      const BenchLayer& l = kLayers[index];
      const bool from_memory = tokens <= 128;
      const int64_t bytes = l.in * l.out * 4;
      const int copies = CopiesFor(bytes, from_memory);
      const DeviceBuffer x(tokens * l.in * 4), y(tokens * l.out * 4), weights(copies * bytes);
      FillRandom(x.data(), tokens * l.in * 2, 1.0f, 2);
      FillRandom(weights.data(), copies * l.in * l.out * 2, 0.02f, 3);
      const auto dense = [&](cublasComputeType_t compute) {
        LibraryGemm gemm(blas, l.in, l.out, tokens, CUDA_R_32F, workspace.data(), CUDA_R_32F, compute);
        const auto weight = [&](int i) { return weights.data() + i * bytes; };
        gemm.Tune(copies, x.data(), weight, y.data());
        return MicrosecondsPerCall(
            copies, [&](int i, cudaStream_t s) { gemm.Enqueue(x.data(), weight(i), y.data(), s); });
      };
      const auto ours = [&](Types types) {
        return OurLayer(BLOCKRANK_CUDA_BLAST, l.in, l.out, l.blast_b, l.blast_r, tokens, from_memory, types)
            .Time(x.data(), y.data());
      };
      const double exact = dense(CUBLAS_COMPUTE_32F), tf32 = dense(CUBLAS_COMPUTE_32F_FAST_TF32);
      fprintf(file, "%s,%s,%lld,%.2f,%.2f,%.2f,%.2f\n", l.network, l.name, static_cast<long long>(tokens),
              exact, tf32, ours(Types::kFloat32), ours(Types::kTf32));
      fflush(file);
    }
  cublasLtDestroy(blas);
  fclose(file);
}

// Device memory in use, by the driver's count.
double UsedMegabytes() {
  size_t free_bytes = 0, total = 0;
  CheckCuda(cudaDeviceSynchronize(), "synchronize");
  CheckCuda(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  return static_cast<double>(total - free_bytes) / 1e6;
}

// Peak memory of one layer (llama7b gate_up, 1024 tokens a sequence): weights, X, Y and what the method needs
// besides.
void Memory(const char* path) {
  FILE* file = fopen(path, "w");
  if (file == nullptr) throw std::runtime_error("cannot write the CSV file");
  fprintf(file, "batch,tokens,dense_mb,unfused_mb,ours_mb,ours_int8_mb\n");
  const BenchLayer& l = kLayers[1];
  const int64_t rank = l.blast_r, blocks = l.blast_b;
  for (const int64_t batch : {1, 2, 4, 8, 16, 32, 64}) {
    const int64_t tokens = batch * l.tokens;
    const double before = UsedMegabytes();
    double dense, unfused, ours[2];
    {
      const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2), w(l.in * l.out * 2),
          workspace(LibraryGemm::kWorkspaceBytes);
      dense = UsedMegabytes() - before;
    }
    {  // t and z whole, as separate launches of a framework keep them
      const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2),
          factors((rank * (l.in + l.out) + blocks * blocks * rank) * 2), t(tokens * blocks * rank * 2),
          z(tokens * blocks * rank * 2), workspace(LibraryGemm::kWorkspaceBytes);
      unfused = UsedMegabytes() - before;
    }
    for (const bool int8 : {false, true}) {
      const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2);
      const OurLayer layer(BLOCKRANK_CUDA_BLAST, l.in, l.out, blocks, rank, tokens, false,
                           int8 ? Types::kInt8 : Types::kBf16);
      layer.Once(x.data(), y.data());
      ours[int8] = UsedMegabytes() - before;
    }
    fprintf(file, "%lld,%lld,%.0f,%.0f,%.0f,%.0f\n", static_cast<long long>(batch),
            static_cast<long long>(tokens), dense, unfused, ours[0], ours[1]);
    fflush(file);
  }
  fclose(file);
}

void Sweep(const char* path, bool own) {
  FILE* file = fopen(path, "w");
  if (file == nullptr) throw std::runtime_error("cannot write the CSV file");
  fprintf(file, "network,layer,tokens,structure,stage,tile,us\n");
  for (const BenchLayer& l : kLayers) {
    for (const int64_t tokens : {int64_t{16}, int64_t{128}, l.tokens}) {
      if (own && tokens != l.tokens) continue;
      const auto print = [&](const char* structure, const char* stage, const char* tile, double us) {
        fprintf(file, "%s,%s,%lld,%s,%s,%s,%.2f\n", l.network, l.name, static_cast<long long>(tokens),
                structure, stage, tile, us);
        fflush(file);
      };
      const bool from_memory = tokens <= 128;
      const DeviceBuffer x(tokens * l.in * 2), y(tokens * l.out * 2);
      FillRandom(x.data(), tokens * l.in, 1.0f, 2);
      const OurLayer blast(BLOCKRANK_CUDA_BLAST, l.in, l.out, l.blast_b, l.blast_r, tokens, from_memory);
      for (int row = 0; row < kernels::kBlastTileCount; ++row)
        if (kernels::CanUse(kernels::kBlastTiles[row], kernels::ShapeOf(blast.plan()), blast.plan().device))
          print("blast", "1", kernels::kBlastTiles[row].name,
                blast.TimeStage(1, {kernels::Program::kBlast, row, 5, "", "", 2}, x.data(), y.data()));
      for (int row = 0; row < kernels::kGemmTileCount; ++row)
        if (kernels::CanUse(kernels::kGemmTiles[row], kernels::ShapeOf(blast.plan()), blast.plan().device))
          print("blast", "2", kernels::kGemmTiles[row].name,
                blast.TimeStage(2, {kernels::Program::kBlast, 0, row, "", "", 2}, x.data(), y.data()));
      const auto unfused = [&](const char* structure, const OurLayer& layer) {
        for (int row = 0; row < kernels::kGemmTileCount; ++row) {
          if (!kernels::CanUse(kernels::kGemmTiles[row], kernels::ShapeOf(layer.plan()), layer.plan().device))
            continue;
          const kernels::Choice choice = {kernels::Program::kTensor, row, row, "", "", 2};
          print(structure, "1 unfused", kernels::kGemmTiles[row].name,
                layer.TimeStage(1, choice, x.data(), y.data()));
          if (structure[0] == 'm')
            print(structure, "2", kernels::kGemmTiles[row].name,
                  layer.TimeStage(2, choice, x.data(), y.data()));
        }
      };
      print("blast", "coupling", "",
            blast.TimeStage(3, {kernels::Program::kTensor, 0, 0, "", "", 3}, x.data(), y.data()));
      unfused("blast", blast);
      for (int row = 0; row < 6; ++row) {
        print("blast", "all", kernels::kGemmTiles[row].name,
              blast.TimeChoice({kernels::Program::kTensor, row, row, "", "", 3}, x.data(), y.data()));
      }
      for (const int row : {0})
        print("blast", "all fused", kernels::kBlastTiles[row].name,
              blast.TimeChoice({kernels::Program::kBlast, row, 5, "", "", 2}, x.data(), y.data()));
      if (l.monarch_b > 0)
        unfused("monarch",
                OurLayer(BLOCKRANK_CUDA_MONARCH, l.in, l.out, l.monarch_b, l.monarch_r, tokens, from_memory));
    }
  }
  fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode != "table" && mode != "ours" && mode != "float32" && mode != "memory" && mode != "sweep" &&
      mode != "sweep-own") {
    fprintf(stderr, "usage: bench_cuda table|ours|float32|memory|sweep|sweep-own FILE.csv\n");
    return 2;
  }
  try {
    cudaDeviceProp device;
    int driver = 0;
    CheckCuda(cudaGetDeviceProperties(&device, 0), "no GPU");
    CheckCuda(cudaDriverGetVersion(&driver), "driver");
    printf("%s, %d multiprocessors, %d MB L2, CUDA driver %d\n", device.name, device.multiProcessorCount,
           device.l2CacheSize >> 20, driver);
    if (mode == "table") Table(argv[2]);
    if (mode == "ours") Ours(argv[2]);
    if (mode == "float32") Float32(argv[2]);
    if (mode == "memory") Memory(argv[2]);
    if (mode == "sweep" || mode == "sweep-own") Sweep(argv[2], mode == "sweep-own");
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
