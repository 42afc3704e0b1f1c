// The engine on every instruction set that this processor has, against float64 loops.
#include "cpu/block_matmul.h"

#include <cmath>

#include "check.h"
#include "cpu/isa.h"
#include "problem.h"
#include "test_host.h"

namespace blockrank::test {
namespace {

constexpr DType kXTypes[] = {DType::kFloat32, DType::kFloat16};
constexpr DType kFactorTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt8};

std::string Run(TestProblem* problem, const KernelTable& kernels, int threads = 1) {
  TestHost host(threads);
  if (!BlockMatMul(problem->Bind(), kernels, host, threads)) return "no memory";
  if (host.live != 0) return "memory was not given back";
  return problem->Compare();
}

void RunEverywhere(const Spec& spec, int threads = 1) {
  TestProblem problem(spec, 1);
  for (const KernelTable* kernels : SupportedKernels()) {
    const std::string error = Run(&problem, *kernels, threads);
    CHECK(error.empty()) << kernels->name << ": " << error;
  }
}

TEST(SizesAroundEveryTile) {
  // in, out, b_in, b_out, rank: ones, primes, vector and panel widths ± 1, ragged last blocks, a panel's
  // depth + 1.
  const Dims sizes[] = {{1, 1, 1, 1, 1},     {2, 3, 2, 3, 1},     {7, 5, 3, 2, 3},    {16, 16, 4, 4, 8},
                        {31, 33, 3, 4, 15},  {63, 65, 4, 3, 17},  {64, 64, 2, 2, 31}, {97, 101, 5, 7, 33},
                        {385, 40, 1, 2, 32}, {40, 37, 3, 3, 385}, {512, 70, 2, 3, 65}};
  for (const Dims& dims : sizes) {
    for (const int64_t tokens : {1, 2, 3, 8, 9, 12, 13, 25, 49}) {
      for (Spec spec : Structures(dims, tokens)) {
        spec.bias = static_cast<int>(tokens % 3);
        RunEverywhere(spec);
        spec.factor_type = DType::kInt8;
        spec.scale_type = tokens % 2 == 0 ? DType::kFloat16 : DType::kFloat32;
        RunEverywhere(spec);
      }
    }
  }
}

TEST(NoTokensTouchNothing) {
  for (const Spec& spec : Structures({5, 4, 2, 2, 3}, 0)) RunEverywhere(spec);
}

TEST(ManyTokensInSeveralTiles) {
  for (const int64_t tokens : {191, 193, 400}) {
    for (const Spec& spec : Structures({33, 70, 3, 4, 20}, tokens)) RunEverywhere(spec, 2);
  }
}

// More tokens than dot products take: panels of one and of several parts, whole and ragged, sums that start
// from the bias and go straight to Y.
TEST(PanelsOfEveryType) {
  for (const Dims& dims : {Dims{130, 96, 2, 3, 64}, Dims{97, 101, 5, 7, 33}, Dims{801, 70, 2, 2, 401}}) {
    for (const DType factor_type : kFactorTypes) {
      for (const int64_t tokens : {65, 72, 97}) {
        for (Spec spec : Structures(dims, tokens)) {
          spec.factor_type = factor_type;
          spec.bias = static_cast<int>(tokens % 3);
          if (tokens == 97) spec.activation = Activation::kRelu;
          RunEverywhere(spec, 2);
        }
      }
    }
  }
}

// z of a token is 64 × 1040 floats here, so that a batch holds fewer tokens than the call.
TEST(MoreTokensThanABatchHolds) { RunEverywhere({Structure::kBlast, {64, 64, 2, 64, 1024}, 60}, 2); }

TEST(EveryPairOfTypes) {
  for (const DType x_type : kXTypes) {
    for (const DType factor_type : kFactorTypes) {
      for (const int64_t tokens : {3, 30}) {
        for (Spec spec : Structures({45, 52, 3, 4, 21}, tokens)) {
          spec.x_type = x_type;
          spec.factor_type = factor_type;
          spec.bias = 2;
          RunEverywhere(spec);
          spec.scale_type = DType::kFloat16;
          if (factor_type == DType::kInt8) RunEverywhere(spec);
        }
      }
    }
  }
}

TEST(EveryActivation) {
  for (const DType x_type : kXTypes) {
    for (int activation = 0; activation < kActivationCount; ++activation) {
      for (const int64_t tokens : {2, 20}) {
        for (Spec spec : Structures({40, 35, 2, 3, 18}, tokens)) {
          spec.x_type = x_type;
          spec.activation = static_cast<Activation>(activation);
          spec.bias = 1;
          RunEverywhere(spec);
        }
      }
    }
  }
}

// A 1×1 layer is the activation alone: swept over the tails, where relative precision matters, and the
// special values.
TEST(ActivationsOverTheirWholeRange) {
  for (int activation = 1; activation < kActivationCount; ++activation) {
    Spec spec{Structure::kLowRank, {1, 1, 1, 1, 1}, 3001};
    spec.activation = static_cast<Activation>(activation);
    TestProblem problem(spec, 1);
    Encode(&problem.v, DType::kFloat32, 0, 1);
    Encode(&problem.u, DType::kFloat32, 0, 1);
    for (int64_t t = 0; t < spec.tokens; ++t) Encode(&problem.x, DType::kFloat32, t, (t - 1500) / 100.0);
    const double special[] = {INFINITY, -INFINITY, NAN,  1e30,  -1e30,  1e-40,
                              -1e-40,   0.0,       88.8, -88.8, 3.4e38, -3.4e38};
    for (int64_t t = 0; t < 12; ++t) Encode(&problem.x, DType::kFloat32, t, special[t]);
    for (const KernelTable* kernels : SupportedKernels()) {
      const std::string error = Run(&problem, *kernels);
      CHECK(error.empty()) << kernels->name << ": " << error;
      for (int64_t t = 900; t < 1500; ++t) {  // −6 … −0.01
        const double want = Activate(spec.activation, problem.x.values[static_cast<size_t>(t)]);
        const double found = Decode(problem.y.data(), DType::kFloat32, t);
        CHECK(std::fabs(found - want) <= 5e-6 * std::fabs(want))
            << kernels->name << " " << found << " " << want;
      }
    }
  }
}

TEST(ExtremeInputs) {
  const double extremes[] = {INFINITY, -INFINITY, NAN, 65504, -65504, 6e-8, -6e-8, 0.0, -0.0};
  for (const DType x_type : kXTypes) {
    for (const DType factor_type : kFactorTypes) {
      for (const int64_t tokens : {9, 33, 70}) {
        for (Spec spec : Structures({21, 64, 3, 2, 6}, tokens)) {
          spec.x_type = x_type;
          spec.factor_type = factor_type;
          TestProblem problem(spec, 3);
          for (int64_t t = 0; t < 9; ++t) Encode(&problem.x, x_type, t * spec.dims.in + t, extremes[t]);
          if (factor_type == DType::kInt8) {
            Encode(&problem.u_scale, spec.scale_type, 0, 65504);
            Encode(&problem.v_scale, spec.scale_type, 0, 6e-8);
          } else {
            Encode(&problem.u, factor_type, 0, 65504);
            Encode(&problem.v, factor_type, 0, 6e-8);
          }
          for (const KernelTable* kernels : SupportedKernels()) {
            const std::string error = Run(&problem, *kernels);
            CHECK(error.empty()) << kernels->name << ": " << error;
          }
        }
      }
    }
  }
}

TEST(ThreadsDoNotChangeABit) {
  for (const int64_t tokens : {1, 5, 40, 230}) {
    for (Spec spec : Structures({130, 140, 3, 4, 70}, tokens)) {
      TestProblem problem(spec, 5);
      for (const KernelTable* kernels : SupportedKernels()) {
        CHECK(Run(&problem, *kernels, 1).empty());
        const std::vector<unsigned char> alone = problem.y;
        for (const int threads : {2, 5}) {
          CHECK(Run(&problem, *kernels, threads).empty());
          CHECK(problem.y == alone) << kernels->name << " " << threads << " threads: " << Describe(spec);
        }
      }
    }
  }
}

TEST(MissingMemoryIsReported) {
  for (const Spec& spec : Structures({400, 300, 2, 2, 64}, 70)) {
    TestProblem problem(spec, 1);
    for (long allowed = 0; allowed < 4; ++allowed) {
      TestHost host(2, allowed);
      CHECK(!BlockMatMul(problem.Bind(), PortableKernels(), host, 2)) << allowed;
      CHECK(host.live == 0);
    }
  }
}

// The tolerance itself: one factor off by half a percent, one row swapped, one value not written must all be
// noticed.
TEST(TheComparisonFailsWhenItShould) {
  for (Spec spec : Structures({64, 48, 2, 2, 24}, 5)) {
    spec.factor_type = spec.structure == Structure::kBlast ? DType::kInt8 : DType::kFloat32;
    TestProblem problem(spec, 1);
    CHECK(Run(&problem, PortableKernels()).empty());
    const std::vector<unsigned char> right = problem.y;
    for (Tensor* scales : {&problem.v_scale, &problem.u_scale}) {
      if (scales->values.empty()) continue;
      scales->values[3] *= 1.005;
      CHECK(!problem.Compare().empty());
      scales->values[3] /= 1.005;
    }
    problem.u.values[7] *= 1.005;
    CHECK(!problem.Compare().empty());
    problem.u.values[7] /= 1.005;
    std::swap_ranges(problem.y.begin(), problem.y.begin() + 4, problem.y.begin() + 4);
    CHECK(!problem.Compare().empty());
    problem.y = right;
    std::fill(problem.y.end() - 4, problem.y.end(), static_cast<unsigned char>(0xab));
    CHECK(!problem.Compare().empty());
  }
}

}  // namespace
}  // namespace blockrank::test
