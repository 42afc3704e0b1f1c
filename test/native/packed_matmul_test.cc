// compute = int8 on every instruction set against its definition bit by bit, and bfloat16 against float64.
#include "cpu/packed_matmul.h"

#include <cmath>

#include "check.h"
#include "cpu/isa.h"
#include "int8_reference.h"
#include "test_host.h"

namespace blockrank::test {
namespace {

bool Launch(const Problem& problem, const PackedTable& table, TestHost* host, int threads) {
  const PackedFactors factors = PackFactors(problem, table);
  return PackedMatMul(problem, factors, table, *host, threads);
}

std::string Compare(const TestProblem& problem) {
  return problem.spec.compute == Compute::kInt8 ? CompareInt8(problem) : problem.Compare();
}

std::string Run(TestProblem* problem, const PackedTable& table, int threads = 1) {
  TestHost host(threads);
  if (!Launch(problem->Bind(), table, &host, threads)) return "no memory";
  if (host.live != 0) return "memory was not given back";
  return Compare(*problem);
}

void RunEverywhere(TestProblem* problem, int threads = 1) {
  for (const PackedTable* table : SupportedPacked(Compute::kInt8)) {
    const std::string error = Run(problem, *table, threads);
    CHECK(error.empty()) << table->name << ": " << error;
  }
}

void RunEverywhere(const Spec& spec, int threads = 1) {
  TestProblem problem(spec, 1);
  RunEverywhere(&problem, threads);
}

std::vector<Spec> Int8Structures(Dims dims, int64_t tokens) {
  std::vector<Spec> specs = Structures(dims, tokens);
  for (Spec& spec : specs) {
    spec.factor_type = DType::kInt8;
    spec.compute = Compute::kInt8;
  }
  return specs;
}

// Sizes: ones, primes, groups, vectors and panels ± 1, ragged last blocks.
const Dims kSizes[] = {{1, 1, 1, 1, 1},     {2, 3, 2, 3, 1},    {7, 5, 3, 2, 3},     {16, 16, 4, 4, 8},
                       {31, 33, 3, 4, 15},  {63, 65, 4, 3, 17}, {64, 64, 2, 2, 31},  {97, 101, 5, 7, 33},
                       {129, 40, 1, 2, 32}, {40, 37, 3, 3, 65}, {256, 128, 2, 2, 64}};

TEST(Int8SizesAroundEveryTile) {
  for (const Dims& dims : kSizes) {
    for (const int64_t tokens : {1, 2, 3, 5, 11, 12, 13, 25}) {
      for (Spec spec : Int8Structures(dims, tokens)) {
        spec.bias = static_cast<int>(tokens % 3);
        RunEverywhere(spec);
      }
    }
  }
}

TEST(Int8WithoutTokensTouchesNothing) {
  for (const Spec& spec : Int8Structures({5, 4, 2, 2, 3}, 0)) RunEverywhere(spec);
}

TEST(Int8ManyTokensInSeveralTiles) {
  for (const int64_t tokens : {95, 97, 200}) {
    for (const Spec& spec : Int8Structures({33, 70, 3, 4, 20}, tokens)) RunEverywhere(spec, 2);
  }
}

// z of a token is 64 × 1040 floats here: more tokens than a batch holds, for many threads and for one.
TEST(Int8MoreTokensThanABatchHolds) {
  for (const int threads : {1, 5}) RunEverywhere(Int8Structures({64, 64, 2, 64, 1024}, 60)[1], threads);
}

TEST(Int8EveryPairOfTypes) {
  for (const DType x_type : {DType::kFloat32, DType::kFloat16}) {
    for (const DType scale_type : {DType::kFloat32, DType::kFloat16}) {
      for (const int64_t tokens : {3, 30}) {
        for (Spec spec : Int8Structures({45, 52, 3, 4, 21}, tokens)) {
          spec.x_type = x_type;
          spec.bias = 2;
          spec.scale_type = scale_type;
          TestProblem problem(spec, 1);
          RunEverywhere(&problem);
        }
      }
    }
  }
}

// The activations too are the same bits on every instruction set.
TEST(Int8EveryActivation) {
  for (const DType x_type : {DType::kFloat32, DType::kFloat16}) {
    for (int activation = 0; activation < kActivationCount; ++activation) {
      for (Spec spec : Int8Structures({40, 96, 2, 3, 18}, 20)) {
        spec.x_type = x_type;
        spec.activation = static_cast<Activation>(activation);
        spec.bias = 1;
        TestProblem problem(spec, 1);
        CHECK(Run(&problem, Int8PortableTable()).empty());
        const std::vector<unsigned char> portable = problem.y;
        for (const PackedTable* table : SupportedPacked(Compute::kInt8)) {
          const std::string error = Run(&problem, *table);
          CHECK(error.empty()) << table->name << ": " << error;
          CHECK(problem.y == portable) << table->name << ": " << Describe(spec);
        }
      }
    }
  }
}

// Infinity and NaN make their token NaN; tiny blocks count as zeros; one large value leaves the others zeros.
TEST(Int8ExtremeInputs) {
  const double extremes[] = {INFINITY, -INFINITY, NAN, 65504, 3e38, 1e-37, 1e-44, 6e-8, -0.0};
  for (const int64_t tokens : {10, 33}) {
    for (const Spec& spec : Int8Structures({21, 19, 3, 2, 6}, tokens)) {
      TestProblem problem(spec, 3);
      for (int64_t t = 0; t < 9; ++t) Encode(&problem.x, DType::kFloat32, t * spec.dims.in + t, extremes[t]);
      for (int64_t k = 0; k < spec.dims.in; ++k)
        Encode(&problem.x, DType::kFloat32, 9 * spec.dims.in + k, 1e-42);
      RunEverywhere(&problem);
      CHECK(std::isnan(DefineInt8(problem)[0])) << Describe(spec);
      CHECK(DefineInt8(problem)[static_cast<size_t>(9 * spec.dims.out)] == 0) << Describe(spec);
    }
  }
}

// The largest products everywhere: pairs must not saturate, sums must not be lost. −128 is in no quantized
// file, yet exact.
TEST(Int8LargestValues) {
  for (const int largest : {127, -127, -128}) {
    TestProblem problem(Int8Structures({8192, 32, 2, 2, 33}, 13)[1], 1);
    for (Tensor* factor : {&problem.v, &problem.u})
      for (size_t n = 0; n < factor->values.size(); ++n)
        Encode(factor, DType::kInt8, static_cast<int64_t>(n), largest);
    for (size_t n = 0; n < problem.x.values.size(); ++n)
      Encode(&problem.x, DType::kFloat32, static_cast<int64_t>(n), n % 3 == 0 ? -2 : 2);
    RunEverywhere(&problem);
  }
}

TEST(Int8ThreadsDoNotChangeABit) {
  for (const int64_t tokens : {1, 5, 40, 230}) {
    for (const Spec& spec : Int8Structures({130, 140, 3, 4, 70}, tokens)) {
      TestProblem problem(spec, 5);
      for (const PackedTable* table : SupportedPacked(Compute::kInt8)) {
        for (const int threads : {1, 2, 5}) {
          const std::string error = Run(&problem, *table, threads);
          CHECK(error.empty()) << table->name << " " << threads << " threads: " << error;
        }
      }
    }
  }
}

TEST(PackedMissingMemoryIsReported) {
  for (const int64_t tokens : {20, 60}) {
    for (const Spec& spec : Int8Structures({900, 700, 2, 2, 200}, tokens)) {
      TestProblem problem(spec, 1);
      for (long allowed = 0; allowed < 2; ++allowed) {
        TestHost host(2, allowed);
        CHECK(!Launch(problem.Bind(), Int8PortableTable(), &host, 2)) << allowed;
        CHECK(host.live == 0);
      }
    }
  }
}

// Quantization costs what 8 bits cost and no more: uniform weights, normal x.
TEST(Int8IsCloseToTheDequantizedProduct) {
  for (const Spec& spec : Int8Structures({192, 160, 3, 2, 64}, 20)) {
    TestProblem problem(spec, 1);
    for (const PackedTable* table : SupportedPacked(Compute::kInt8)) {
      CHECK(Run(&problem, *table).empty());
      const double error = RelativeError(problem);
      CHECK(error > 1e-4 && error < 0.02) << table->name << " " << error << " " << Describe(spec);
    }
  }
}

// One integer, one scale's last bits, one value not written: all are noticed.
TEST(Int8ComparisonFailsWhenItShould) {
  for (const Spec& spec : Int8Structures({64, 48, 2, 2, 24}, 5)) {
    TestProblem problem(spec, 1);
    CHECK(Run(&problem, Int8PortableTable()).empty());
    double& integer = problem.u.values[7];
    const double change = integer > 0 ? -1 : 1;
    integer += change;
    CHECK(!Compare(problem).empty());
    integer -= change;
    problem.u_scale.values[3] *= 1.000001;
    CHECK(!Compare(problem).empty());
    problem.u_scale.values[3] /= 1.000001;
    CHECK(Compare(problem).empty());
    std::fill(problem.y.end() - 4, problem.y.end(), static_cast<unsigned char>(0xab));
    CHECK(!Compare(problem).empty());
  }
}

TEST(BFloat16SizesTypesAndActivations) {
  for (const PackedTable* table : SupportedPacked(Compute::kBFloat16)) {
    int turn = 0;
    for (const Dims& dims : kSizes) {
      for (const int64_t tokens : {1, 3, 13, 25, 97}) {
        for (Spec spec : Structures(dims, tokens)) {
          ++turn;
          spec.compute = Compute::kBFloat16;
          spec.bias = turn % 3;
          spec.factor_type = static_cast<DType>(turn / 3 % 3);
          spec.x_type = turn % 4 == 0 ? DType::kFloat16 : DType::kFloat32;
          spec.activation = static_cast<Activation>(turn % kActivationCount);
          TestProblem problem(spec, 1);
          const std::string error = Run(&problem, *table, 1 + turn % 2);
          CHECK(error.empty()) << table->name << ": " << error;
        }
      }
    }
  }
  CHECK(SupportedPacked(Compute::kBFloat16).size() <= 1);
}

// Small integers are exact in bfloat16 at every step, so the result must be too.
TEST(BFloat16IsExactOnSmallIntegers) {
  for (const Spec& floats : Structures({30, 45, 3, 4, 5}, 30)) {
    Spec spec = floats;
    spec.compute = Compute::kBFloat16;
    TestProblem problem(spec, 1);
    const auto fill = [](Tensor* tensor, int64_t modulus) {
      for (size_t n = 0; n < tensor->values.size(); ++n) {
        const int64_t at = static_cast<int64_t>(n);
        Encode(tensor, DType::kFloat32, at, static_cast<double>(at * 7 % modulus - modulus / 2));
      }
    };
    fill(&problem.x, 3);
    fill(&problem.v, 3);
    fill(&problem.s, 3);
    fill(&problem.u, 5);
    std::vector<double> want(static_cast<size_t>(spec.dims.out)), magnitude(want.size());
    for (const PackedTable* table : SupportedPacked(Compute::kBFloat16)) {
      CHECK(Run(&problem, *table).empty());
      for (int64_t token = 0; token < spec.tokens; ++token) {
        problem.Define(token, &want, &magnitude);
        for (int64_t o = 0; o < spec.dims.out; ++o)
          CHECK(Decode(problem.y.data(), DType::kFloat32, token * spec.dims.out + o) ==
                want[static_cast<size_t>(o)]);
      }
    }
  }
  CHECK(true);
}

std::vector<Spec> BFloat16Structures(Dims dims, int64_t tokens) {
  std::vector<Spec> specs = Structures(dims, tokens);
  for (Spec& spec : specs) spec.compute = Compute::kBFloat16;
  return specs;
}

// Denormals count as zeros there, which the tolerance of Y's own least values allows.
TEST(BFloat16ExtremeInputs) {
  const double extremes[] = {INFINITY, -INFINITY, NAN, 65504, -65504, 1e-40, -1e-40, 0.0, -0.0};
  for (const int64_t tokens : {9, 33}) {
    for (const Spec& spec : BFloat16Structures({21, 19, 3, 2, 6}, tokens)) {
      TestProblem problem(spec, 3);
      for (int64_t t = 0; t < 9; ++t) Encode(&problem.x, DType::kFloat32, t * spec.dims.in + t, extremes[t]);
      Encode(&problem.u, DType::kFloat32, 0, 65504);
      // In the last column, where no token has an infinity: 0 · ∞ would be NaN.
      Encode(&problem.v, DType::kFloat32, spec.dims.in - 1, 1e-40);
      for (const PackedTable* table : SupportedPacked(Compute::kBFloat16)) {
        const std::string error = Run(&problem, *table);
        CHECK(error.empty()) << table->name << ": " << error;
      }
    }
  }
  CHECK(true);
}

TEST(BFloat16ThreadsDoNotChangeABit) {
  for (const int64_t tokens : {1, 5, 40, 230}) {
    for (const Spec& spec : BFloat16Structures({130, 140, 3, 4, 70}, tokens)) {
      TestProblem problem(spec, 5);
      for (const PackedTable* table : SupportedPacked(Compute::kBFloat16)) {
        CHECK(Run(&problem, *table, 1).empty());
        const std::vector<unsigned char> alone = problem.y;
        for (const int threads : {2, 5}) {
          CHECK(Run(&problem, *table, threads).empty());
          CHECK(problem.y == alone) << table->name << " " << threads << " threads: " << Describe(spec);
        }
      }
    }
  }
  CHECK(true);
}

// One factor off by as much as factors are, the largest output not written.
TEST(BFloat16ComparisonFailsWhenItShould) {
  for (const Spec& spec : BFloat16Structures({64, 48, 2, 2, 24}, 5)) {
    TestProblem problem(spec, 1);
    for (const PackedTable* table : SupportedPacked(Compute::kBFloat16)) {
      CHECK(Run(&problem, *table).empty());
      problem.u.values[7] += 1;
      CHECK(!Compare(problem).empty());
      problem.u.values[7] -= 1;
      CHECK(Compare(problem).empty());
      int64_t largest = 0;
      const auto output = [&](int64_t n) { return std::fabs(Decode(problem.y.data(), DType::kFloat32, n)); };
      for (int64_t n = 0; n < spec.tokens * spec.dims.out; ++n)
        if (output(n) > output(largest)) largest = n;
      std::fill_n(problem.y.begin() + largest * 4, 4, static_cast<unsigned char>(0xab));
      CHECK(!Compare(problem).empty());
    }
  }
  CHECK(true);
}

}  // namespace
}  // namespace blockrank::test
