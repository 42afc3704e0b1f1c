#include "phases.h"

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include "core/convert.h"
#include "cpu/block_matmul.h"
#include "cpu/isa.h"
#include "cpu/packed_matmul.h"

namespace blockrank::bench {
namespace {

double Now() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class OneThread : public Host {
 public:
  void ParallelFor(int64_t count, void (*task)(void*, size_t), void* user) override {
    for (int64_t i = 0; i < count; ++i) task(user, static_cast<size_t>(i));
  }
  void* Allocate(size_t bytes) noexcept override { return std::malloc(bytes); }
  void Free(void* memory) noexcept override { std::free(memory); }
};

// The functions in use, and what they took since Clear. Plain function pointers have nowhere else to keep it.
const KernelTable* kernels;
const PackedTable* packed;
Phases spent;
bool only_transpose;

template <class Call>
void Clock(double* sum, Call&& call) {
  const double start = Now();
  call();
  *sum += Now() - start;
}

void Products(const GemmArgs& args, void (*gemm)(const GemmArgs&)) {
  GemmArgs copy = args;
  if (only_transpose) copy.tokens = 0;
  Clock(&spent.products, [&] { gemm(copy); });
}

template <int kType>
void Panel(const GemmArgs& args) {
  Products(args, kernels->gemm_panel[kType]);
}
template <int kType>
void Dot(const GemmArgs& args) {
  Products(args, kernels->gemm_dot[kType]);
}
void Couple(const CoupleArgs& args) {
  Clock(&spent.coupling, [&] { kernels->couple(args); });
}
void StoreFloat(const StoreArgs& args) {
  Clock(&spent.store, [&] { kernels->store[0][0](args); });
}
template <int kType>
void Widen(const void* source, int64_t count, float* target) {
  Clock(&spent.widen, [&] { kernels->widen[kType](source, count, target); });
}

KernelTable Clocked(const KernelTable& table) {
  KernelTable copy = table;
  kernels = &table;
  copy.gemm_dot[0] = Dot<0>, copy.gemm_dot[1] = Dot<1>, copy.gemm_dot[2] = Dot<2>, copy.gemm_dot[3] = Dot<3>;
  copy.gemm_panel[0] = Panel<0>, copy.gemm_panel[1] = Panel<1>;
  copy.gemm_panel[2] = Panel<2>, copy.gemm_panel[3] = Panel<3>;
  copy.couple = Couple;
  copy.widen[0] = Widen<0>, copy.widen[1] = Widen<1>, copy.widen[2] = Widen<2>;
  copy.store[0][0] = StoreFloat;
  return copy;
}

void PackedProducts(const PackedGemmArgs& args) {
  Clock(&spent.products, [&] { packed->gemm(args); });
}
void Narrow(const float* source, int64_t count, uint8_t* target, BlockScale* scale) {
  Clock(&spent.widen, [&] { packed->narrow(source, count, target, scale); });
}
template <int kType>
void PackedCouple(const CoupleArgs& args) {
  Clock(&spent.coupling, [&] { packed->couple[kType](args); });
}
void PackedStore(const StoreArgs& args) {
  Clock(&spent.store, [&] { packed->store[0][0](args); });
}

PackedTable Clocked(const PackedTable& table) {
  PackedTable copy = table;
  packed = &table;
  copy.gemm = PackedProducts;
  copy.narrow = Narrow;
  copy.couple[0] = PackedCouple<0>, copy.couple[1] = PackedCouple<1>, copy.couple[2] = PackedCouple<2>;
  copy.store[0][0] = PackedStore;
  return copy;
}

std::vector<uint8_t> Random(int64_t count, DType type, std::mt19937* random) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count) * SizeOf(type));
  std::uniform_real_distribution<float> values(-0.1f, 0.1f);
  for (int64_t i = 0; i < count; ++i) {
    const float value = values(*random);
    uint8_t* target = bytes.data() + static_cast<size_t>(i) * SizeOf(type);
    if (type == DType::kFloat32) *reinterpret_cast<float*>(target) = value;
    if (type == DType::kFloat16) *reinterpret_cast<Half*>(target) = ToHalf(value);
    if (type == DType::kBFloat16) *reinterpret_cast<BFloat16*>(target) = ToBFloat16(value);
    if (type == DType::kInt8) *target = static_cast<uint8_t>(static_cast<int8_t>(value * 1270));
  }
  return bytes;
}

// A BLAST problem and its data.
struct Data {
  std::vector<uint8_t> x, v, s, u, v_scale, u_scale, y;
  Problem problem;

  Data(const Dims& d, int64_t tokens, DType type, Compute compute) {
    std::mt19937 random(1);
    const DType scale = type == DType::kInt8 ? DType::kFloat16 : type;
    x = Random(tokens * d.in, DType::kFloat32, &random);
    v = Random(d.rank * d.in, type, &random);
    s = Random(d.b_out * d.b_in * d.rank, scale, &random);
    u = Random(d.out * d.rank, type, &random);
    v_scale = Random(d.b_in * d.rank, scale, &random);
    u_scale = Random(d.out, scale, &random);
    y.resize(static_cast<size_t>(tokens * d.out) * sizeof(float));
    problem.structure = Structure::kBlast;
    problem.dims = d;
    problem.factor_type = type;
    problem.scale_type = scale;
    problem.compute = compute;
    problem.tokens = tokens;
    problem.x = x.data();
    problem.v = v.data();
    problem.s = s.data();
    problem.u = u.data();
    problem.v_scale = v_scale.data();
    problem.u_scale = u_scale.data();
    problem.y = y.data();
  }
};

// The fastest call's total, and the phases of the fastest call with clocks.
template <class Run>
Phases Fastest(int rounds, Run&& run) {
  Phases best{};
  double plain = 1e30, clocked = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const double start = Now();
    if (!run(false)) std::abort();  // no memory
    plain = std::min(plain, Now() - start);
    spent = {};
    const double again = Now();
    if (!run(true)) std::abort();
    if (Now() - again < clocked) {
      clocked = Now() - again;
      best = spent;
    }
  }
  best.total = plain;
  return best;
}

}  // namespace

void RunCalls(const Dims& dims, int64_t tokens, DType factor_type, Compute compute, int calls) {
  Data data(dims, tokens, factor_type, compute);
  OneThread host;
  const PackedTable* table = compute == Compute::kFloat ? nullptr : SupportedPacked(compute).front();
  PackedFactors factors;
  if (table != nullptr) factors = PackFactors(data.problem, *table);
  for (int call = 0; call < calls; ++call) {
    const bool done = table == nullptr ? BlockMatMul(data.problem, *ChosenIsa().kernels, host, 1)
                                       : PackedMatMul(data.problem, factors, *table, host, 1);
    if (!done) std::abort();
  }
}

Phases MeasurePhases(const Dims& dims, int64_t tokens, DType factor_type, Compute compute, int rounds) {
  Data data(dims, tokens, factor_type, compute);
  OneThread host;
  if (compute != Compute::kFloat) {
    const PackedTable& table = *SupportedPacked(compute).front();
    const PackedTable clocked = Clocked(table);
    const PackedFactors factors = PackFactors(data.problem, table);
    return Fastest(rounds, [&](bool clocks) {
      return PackedMatMul(data.problem, factors, clocks ? clocked : table, host, 1);
    });
  }
  const KernelTable& table = ChosenIsa().kernels[0];
  const KernelTable clocked = Clocked(table);
  Phases phases = Fastest(
      rounds, [&](bool clocks) { return BlockMatMul(data.problem, clocks ? clocked : table, host, 1); });
  only_transpose = true;
  phases.transpose =
      Fastest(rounds, [&](bool) { return BlockMatMul(data.problem, clocked, host, 1); }).products;
  only_transpose = false;
  return phases;
}

}  // namespace blockrank::bench
