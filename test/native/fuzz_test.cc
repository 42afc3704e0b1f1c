// Random sizes, types, options and numbers on every instruction set: a seeded sample in each run of the
// tests, more with BLOCKRANK_FUZZ_SECONDS. Meant for the sanitizers; results are compared too.
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>

#include "check.h"
#include "core/shape_check.h"
#include "cpu/block_matmul.h"
#include "cpu/isa.h"
#include "problem.h"
#include "test_host.h"

namespace blockrank::test {
namespace {

using Engine = std::mt19937;

int64_t Below(Engine& random, int64_t limit) {
  return static_cast<int64_t>(random() % static_cast<uint32_t>(limit));
}

/// 1 … limit, small ones as often as large ones: the edges of tiles lie among the small ones.
int64_t Size(Engine& random, int64_t limit) {
  const double exponent = static_cast<double>(random()) / static_cast<double>(Engine::max());
  return std::max<int64_t>(1, static_cast<int64_t>(std::pow(static_cast<double>(limit), exponent)));
}

/// Block counts must leave no block empty.
int64_t Blocks(Engine& random, int64_t size) {
  for (;;) {
    const int64_t blocks = Size(random, std::min<int64_t>(size, 40));
    if ((blocks - 1) * CeilDiv(size, blocks) < size) return blocks;
  }
}

Spec RandomSpec(Engine& random) {
  constexpr DType kXTypes[] = {DType::kFloat32, DType::kFloat16};
  constexpr DType kFactorTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};
  Spec spec;
  spec.structure = static_cast<Structure>(Below(random, 3));
  spec.dims = {Size(random, 200), Size(random, 200), 1, 1, Size(random, 80)};
  if (spec.structure != Structure::kLowRank) {
    spec.dims.b_in = Blocks(random, spec.dims.in);
    spec.dims.b_out = Blocks(random, spec.dims.out);
  }
  spec.tokens = Size(random, 100) - Below(random, 2);
  spec.x_type = kXTypes[Below(random, 2)];
  spec.factor_type = kFactorTypes[Below(random, 3)];
  spec.activation = static_cast<Activation>(Below(random, kActivationCount));
  spec.order = spec.structure == Structure::kMonarch ? static_cast<OutputOrder>(Below(random, 2))
                                                     : OutputOrder::kContiguous;
  spec.bias = static_cast<int>(Below(random, 3));
  return spec;
}

/// NaN, infinity, the largest and the smallest, in one place of one operand. True where it was done.
bool Poison(Engine& random, TestProblem* problem) {
  if (Below(random, 3) != 0) return false;
  constexpr double kValues[] = {NAN, INFINITY, -INFINITY, 65504, -65504, 6e-8, -0.0};
  Tensor* operands[] = {&problem->x, &problem->v, &problem->u};
  const int64_t which = Below(random, 3);
  Tensor* operand = operands[which];
  if (operand->values.empty()) return false;
  const DType type = which == 0 ? problem->spec.x_type : problem->spec.factor_type;
  Encode(operand, type, Below(random, static_cast<int64_t>(operand->values.size())),
         kValues[Below(random, 7)]);
  return true;
}

void RunOne(uint32_t seed) {
  Engine random(seed);
  TestProblem problem(RandomSpec(random), seed);
  const bool is_poisoned = Poison(random, &problem);
  for (const KernelTable* kernels : SupportedKernels()) {
    const int threads = static_cast<int>(1 + Below(random, 3));
    // Memory that runs out, now and then.
    TestHost host(threads, Below(random, 10) == 0 ? Below(random, 4) : -1);
    const bool done = BlockMatMul(problem.Bind(), *kernels, host, threads);
    CHECK(host.live == 0) << "seed " << seed << " " << kernels->name << ": " << Describe(problem.spec);
    if (!done) continue;
    const std::string error = problem.Compare();
    CHECK(error.empty()) << "seed " << seed << (is_poisoned ? " poisoned " : " ") << kernels->name << ": "
                         << error;
  }
}

TEST(RandomProblems) {
  const char* seconds = std::getenv("BLOCKRANK_FUZZ_SECONDS");
  const auto start = std::chrono::steady_clock::now();
  const auto is_time_left = [&] {
    return seconds != nullptr &&
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() <
               std::atof(seconds);
  };
  uint32_t seed = 0;
  for (; seed < 400 || is_time_left(); ++seed) RunOne(seed);
  if (seconds != nullptr) std::printf("     %u random problems\n", seed);
}

/// Any shapes at all: refused with a sentence, or sizes that fit together.
TEST(RandomShapes) {
  for (uint32_t seed = 0; seed < 20000; ++seed) {
    Engine random(seed);
    const auto shape = [&] {
      constexpr int64_t kDims[] = {-1, 0, 1, 2, 3, 4, 6, 12, INT64_MAX, INT64_MIN, INT64_C(1) << 32};
      Shape result{Below(random, 8) != 0, {}};
      for (int64_t rank = Below(random, 5); rank > 0; --rank)
        result.dims.push_back(kDims[Below(random, Below(random, 3) ? 7 : 11)]);
      return result;
    };
    InputShapes shapes{shape(), shape(), shape(), shape(), shape(), {}, {}, Below(random, 2) == 1};
    if (Below(random, 2) == 1) shapes.v_scale = shape(), shapes.u_scale = shape();
    Dims dims;
    const std::string message = CheckShapes(static_cast<Structure>(Below(random, 3)), shapes, &dims);
    CHECK(!message.empty() || (dims.in != 0 && dims.out != 0 && dims.rank != 0)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace blockrank::test
