#include "int8_problem.h"

#include <cmath>
#include <cstring>
#include <random>
#include <sstream>

#include "core/convert.h"

namespace blockrank::test {
namespace {

struct Quantized {
  std::vector<int64_t> values;
  float scale;
};

// One block: q = round(x · (127 / max|x|)), scale = max|x| / 127.
Quantized Quantize(const float* x, int64_t count) {
  Quantized result{std::vector<int64_t>(static_cast<size_t>(count)), 0};
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(x[i]);
    largest = std::max(largest, std::fabs(x[i]));
  }
  if (!finite) result.scale = NAN;
  if (!finite || largest < std::ldexp(1.0f, -120)) return result;
  const float inverse = 127.0f / largest;
  for (int64_t i = 0; i < count; ++i) {
    const float scaled = x[i] * inverse;
    result.values[static_cast<size_t>(i)] = std::lrint(scaled);
  }
  result.scale = largest / 127.0f;
  return result;
}

// (float(Σ w·q) · row_scale) · scale
float Product(const int8_t* w, const Quantized& q, double row_scale) {
  int64_t sum = 0;
  for (size_t k = 0; k < q.values.size(); ++k) sum += w[k] * q.values[k];
  const float scaled = static_cast<float>(sum) * static_cast<float>(row_scale);
  return scaled * q.scale;
}

std::vector<int8_t> RandomBytes(int64_t count, std::mt19937* random) {
  std::vector<int8_t> bytes(static_cast<size_t>(count));
  std::uniform_int_distribution<int> uniform(-127, 127);
  for (int8_t& byte : bytes) byte = static_cast<int8_t>(uniform(*random));
  return bytes;
}

Tensor Positive(int64_t count, DType type, std::mt19937* random) {
  Tensor tensor;
  tensor.bytes.resize(static_cast<size_t>(count) * SizeOf(type));
  tensor.values.resize(static_cast<size_t>(count));
  std::uniform_real_distribution<double> uniform(0.5, 1.5);
  for (int64_t i = 0; i < count; ++i) Encode(&tensor, type, i, uniform(*random) / 127);
  return tensor;
}

float At(const Tensor& tensor, int64_t index) {
  return static_cast<float>(tensor.values[static_cast<size_t>(index)]);
}

}  // namespace

Int8Problem::Int8Problem(const Spec& problem, DType scales, uint32_t seed)
    : spec(problem), scale_type(scales) {
  // X, S and B as in problems with float factors.
  Spec floats = problem;
  floats.factor_type = scales;
  TestProblem source(floats, seed);
  x = source.x;
  s = source.s;
  b = source.b;
  y = source.y;
  std::mt19937 random(seed + 1);
  const Dims& d = spec.dims;
  const int64_t slabs = spec.structure == Structure::kMonarch ? d.b_out : 1;
  v = RandomBytes(slabs * d.rank * d.in, &random);
  u = RandomBytes(d.out * ZBlocks() * d.rank, &random);
  v_scale = Positive(slabs * d.b_in * d.rank, scale_type, &random);
  u_scale = Positive(d.out * ZBlocks(), scale_type, &random);
}

Problem Int8Problem::Bind() {
  std::fill(y.begin(), y.end(), static_cast<unsigned char>(0xab));
  Problem problem;
  problem.structure = spec.structure;
  problem.order = spec.order;
  problem.activation = spec.activation;
  problem.dims = spec.dims;
  problem.x_type = spec.x_type;
  problem.factor_type = DType::kInt8;
  problem.scale_type = scale_type;
  problem.compute = Compute::kInt8;
  problem.tokens = spec.tokens;
  problem.x = x.bytes.data();
  problem.v = v.data();
  problem.v_scale = v_scale.bytes.data();
  problem.s = spec.structure == Structure::kBlast ? s.bytes.data() : nullptr;
  problem.u = u.data();
  problem.u_scale = u_scale.bytes.data();
  problem.bias = spec.bias ? b.bytes.data() : nullptr;
  problem.bias_size = spec.bias == 0 ? 0 : spec.bias == 1 ? 1 : spec.dims.out;
  problem.y = y.data();
  return problem;
}

std::vector<float> Int8Problem::Define() const {
  const Dims& d = spec.dims;
  const bool monarch = spec.structure == Structure::kMonarch;
  std::vector<float> result(static_cast<size_t>(spec.tokens * d.out));
  for (int64_t token = 0; token < spec.tokens; ++token) {
    std::vector<Quantized> xq;
    for (int64_t j = 0; j < d.b_in; ++j) {
      std::vector<float> block;
      for (int64_t k = j * d.p(); k < std::min((j + 1) * d.p(), d.in); ++k)
        block.push_back(At(x, token * d.in + k));
      xq.push_back(Quantize(block.data(), static_cast<int64_t>(block.size())));
    }
    const auto t = [&](int64_t slab, int64_t j, int64_t k) {
      return Product(&v[static_cast<size_t>((slab * d.rank + k) * d.in + j * d.p())],
                     xq[static_cast<size_t>(j)], At(v_scale, (slab * d.b_in + j) * d.rank + k));
    };
    for (int64_t i = 0; i < d.b_out; ++i) {
      std::vector<Quantized> zq;
      for (int64_t block = 0; block < ZBlocks(); ++block) {
        std::vector<float> z(static_cast<size_t>(d.rank));
        for (int64_t k = 0; k < d.rank; ++k) {
          float& sum = z[static_cast<size_t>(k)];
          if (spec.structure != Structure::kBlast) sum = t(monarch ? i : 0, block, k);
          for (int64_t j = 0; spec.structure == Structure::kBlast && j < d.b_in; ++j) {
            const float term = t(0, j, k) * At(s, (i * d.b_in + j) * d.rank + k);
            sum = sum + term;
          }
        }
        zq.push_back(Quantize(z.data(), d.rank));
      }
      for (int64_t o = 0; o < d.out; ++o) {
        if ((spec.order == OutputOrder::kInterleaved ? o % d.b_out : o / d.q()) != i) continue;
        float sum = spec.bias == 0 ? 0.0f : At(b, spec.bias == 1 ? 0 : o);
        for (int64_t block = 0; block < ZBlocks(); ++block) {
          const int64_t row = o * ZBlocks() + block;
          sum = sum + Product(&u[static_cast<size_t>(row * d.rank)], zq[static_cast<size_t>(block)],
                              At(u_scale, row));
        }
        result[static_cast<size_t>(token * d.out + o)] = sum;
      }
    }
  }
  return result;
}

std::string Int8Problem::Compare() const {
  const std::vector<float> expected = Define();
  const bool exact = spec.activation <= Activation::kRelu;
  const bool half = spec.x_type == DType::kFloat16;
  for (size_t at = 0; at < expected.size(); ++at) {
    const double before = expected[at];
    double want = Activate(spec.activation, before);
    const double found = Decode(y.data(), spec.x_type, static_cast<int64_t>(at));
    if (std::isnan(want) && std::isnan(found)) continue;
    if (half && exact) want = ToFloat(ToHalf(static_cast<float>(want)));
    double tolerance = exact ? 0 : 4e-7 * std::fabs(before) + std::ldexp(std::fabs(want), -24) + 1e-37;
    if (half && !exact) tolerance += std::ldexp(std::fabs(want), -11) + std::ldexp(1.0, -25);
    if (found == want || std::fabs(found - want) <= tolerance) continue;
    std::ostringstream text;
    text << Describe(spec) << ": y[" << at << "] = " << found << ", expected " << want << " ± " << tolerance;
    return text.str();
  }
  return "";
}

double Int8Problem::RelativeError() const {
  const Dims& d = spec.dims;
  const bool monarch = spec.structure == Structure::kMonarch;
  Spec floats = spec;
  floats.factor_type = DType::kFloat32;
  TestProblem plain(floats, 1);
  plain.x = x;
  plain.s = s;
  plain.b = b;
  for (size_t n = 0; n < v.size(); ++n) {
    const int64_t row = static_cast<int64_t>(n) / d.in, j = static_cast<int64_t>(n) % d.in / d.p();
    const int64_t slab = monarch ? row / d.rank : 0;
    plain.v.values[n] = v[n] * static_cast<double>(At(v_scale, (slab * d.b_in + j) * d.rank + row % d.rank));
  }
  for (size_t n = 0; n < u.size(); ++n)
    plain.u.values[n] = u[n] * static_cast<double>(At(u_scale, static_cast<int64_t>(n) / d.rank));
  std::vector<double> want(static_cast<size_t>(d.out)), magnitude(want.size());
  double error = 0, norm = 0;
  for (int64_t token = 0; token < spec.tokens; ++token) {
    plain.Define(token, &want, &magnitude);
    for (int64_t o = 0; o < d.out; ++o) {
      const double value = want[static_cast<size_t>(o)];
      const double found = Decode(y.data(), spec.x_type, token * d.out + o);
      error += (found - value) * (found - value);
      norm += value * value;
    }
  }
  return std::sqrt(error / norm);
}

}  // namespace blockrank::test
