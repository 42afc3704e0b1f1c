#include "problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <sstream>

#include "core/convert.h"

namespace blockrank::test {
namespace {

template <class T>
T Read(const unsigned char* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(T)), sizeof value);
  return value;
}

template <class T>
void Write(unsigned char* bytes, int64_t index, T value) {
  std::memcpy(bytes + index * static_cast<int64_t>(sizeof(T)), &value, sizeof value);
}

Tensor Random(int64_t count, DType type, double scale, std::mt19937* random) {
  if (type == DType::kInt8) scale = 127 / 3.0;
  Tensor tensor;
  tensor.bytes.resize(static_cast<size_t>(count) * SizeOf(type));
  tensor.values.resize(static_cast<size_t>(count));
  std::normal_distribution<double> normal(0, scale);
  for (int64_t i = 0; i < count; ++i) {
    const double value = normal(*random);
    Encode(&tensor, type, i, type == DType::kInt8 ? std::clamp(value, -127.0, 127.0) : value);
  }
  return tensor;
}

int64_t VRows(const Spec& s) {
  return s.structure == Structure::kMonarch ? s.dims.b_out * s.dims.rank : s.dims.rank;
}
int64_t URow(const Spec& s) {
  return s.structure == Structure::kMonarch ? s.dims.b_in * s.dims.rank : s.dims.rank;
}

}  // namespace

double Decode(const unsigned char* bytes, DType type, int64_t index) {
  if (type == DType::kFloat32) return Read<float>(bytes, index);
  if (type == DType::kFloat16) return ToFloat(Read<Half>(bytes, index));
  if (type == DType::kInt8) return Read<int8_t>(bytes, index);
  return ToFloat(Read<BFloat16>(bytes, index));
}

void Encode(Tensor* tensor, DType type, int64_t index, double value) {
  const float single = static_cast<float>(value);
  unsigned char* bytes = tensor->bytes.data();
  if (type == DType::kFloat32) Write(bytes, index, single);
  if (type == DType::kInt8) Write(bytes, index, static_cast<int8_t>(std::lround(value)));
  if (type == DType::kFloat16) Write(bytes, index, ToHalf(single));
  if (type == DType::kBFloat16) Write(bytes, index, ToBFloat16(single));
  tensor->values[static_cast<size_t>(index)] = Decode(bytes, type, index);
}

double Activate(Activation activation, double v) {
  switch (activation) {
    case Activation::kRelu:
      return v < 0 ? 0 : v;
    case Activation::kGelu:
      return v / 2 * std::erfc(-v / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    case Activation::kSilu:
      return v / (1 + std::exp(-v));
    default:
      return v;
  }
}

std::string Describe(const Spec& s) {
  static const char* const structures[] = {"low rank", "BLAST", "Monarch"};
  std::ostringstream text;
  text << structures[static_cast<int>(s.structure)] << " in " << s.dims.in << " out " << s.dims.out
       << " b_in " << s.dims.b_in << " b_out " << s.dims.b_out << " r " << s.dims.rank << " tokens "
       << s.tokens << " X " << NameOf(s.x_type) << " F " << NameOf(s.factor_type) << " scales "
       << NameOf(s.scale_type) << " act " << static_cast<int>(s.activation) << " bias " << s.bias
       << (s.order == OutputOrder::kInterleaved ? " interleaved" : "");
  return text.str();
}

std::vector<Spec> Structures(Dims dims, int64_t tokens) {
  Dims pair = dims;
  pair.b_in = pair.b_out = 1;
  Spec low_rank{Structure::kLowRank, pair, tokens};
  Spec blast{Structure::kBlast, dims, tokens};
  Spec monarch{Structure::kMonarch, dims, tokens};
  Spec interleaved = monarch;
  interleaved.order = OutputOrder::kInterleaved;
  return {low_rank, blast, monarch, interleaved};
}

TestProblem::TestProblem(const Spec& problem, uint32_t seed) : spec(problem) {
  std::mt19937 random(seed);
  const Dims& d = spec.dims;
  x = Random(spec.tokens * d.in, spec.x_type, 1, &random);
  v = Random(VRows(spec) * d.in, spec.factor_type, 1 / std::sqrt(d.in), &random);
  const bool int8 = spec.factor_type == DType::kInt8;
  s = Random(d.b_out * d.b_in * d.rank, int8 ? spec.scale_type : spec.factor_type, 1, &random);
  u = Random(d.out * URow(spec), spec.factor_type, 1 / std::sqrt(d.rank), &random);
  if (int8) {
    v_scale = Random(VRows(spec) * d.b_in, spec.scale_type, 3 / 127.0 / std::sqrt(d.in), &random);
    u_scale = Random(d.out * URow(spec) / d.rank, spec.scale_type, 3 / 127.0 / std::sqrt(d.rank), &random);
  }
  b = Random(spec.bias == 1 ? 1 : d.out, spec.x_type, 1, &random);
  y.resize(static_cast<size_t>(spec.tokens * d.out) * SizeOf(spec.x_type));
}

Problem TestProblem::Bind() {
  std::fill(y.begin(), y.end(), static_cast<unsigned char>(0xab));
  Problem problem;
  problem.structure = spec.structure;
  problem.order = spec.order;
  problem.activation = spec.activation;
  problem.dims = spec.dims;
  problem.x_type = spec.x_type;
  problem.factor_type = spec.factor_type;
  problem.scale_type = spec.factor_type == DType::kInt8 ? spec.scale_type : spec.factor_type;
  problem.compute = spec.compute;
  problem.tokens = spec.tokens;
  problem.x = x.bytes.data();
  problem.v = v.bytes.data();
  problem.s = spec.structure == Structure::kBlast ? s.bytes.data() : nullptr;
  problem.u = u.bytes.data();
  if (spec.factor_type == DType::kInt8) {
    problem.v_scale = v_scale.bytes.data();
    problem.u_scale = u_scale.bytes.data();
  }
  problem.bias = spec.bias ? b.bytes.data() : nullptr;
  problem.bias_size = spec.bias == 0 ? 0 : spec.bias == 1 ? 1 : spec.dims.out;
  problem.y = y.data();
  return problem;
}

// V[row, column], the column in block j.
double TestProblem::V(int64_t row, int64_t column, int64_t j) const {
  const Dims& d = spec.dims;
  const double value = v.values[static_cast<size_t>(row * d.in + column)];
  if (spec.factor_type != DType::kInt8) return value;
  return value * v_scale.values[static_cast<size_t>((row / d.rank * d.b_in + j) * d.rank + row % d.rank)];
}

double TestProblem::U(int64_t row, int64_t column) const {
  const int64_t length = URow(spec);
  const double value = u.values[static_cast<size_t>(row * length + column)];
  if (spec.factor_type != DType::kInt8) return value;
  return value * u_scale.values[static_cast<size_t>((row * length + column) / spec.dims.rank)];
}

void TestProblem::Define(int64_t token, std::vector<double>* result, std::vector<double>* magnitude) const {
  const Dims& d = spec.dims;
  const bool monarch = spec.structure == Structure::kMonarch;
  const auto at = [](const std::vector<double>& values, int64_t index) {
    return values[static_cast<size_t>(index)];
  };
  for (int64_t i = 0; i < d.b_out; ++i) {
    std::vector<double> z(static_cast<size_t>(URow(spec))), z_size(z.size());
    for (int64_t j = 0; j < d.b_in; ++j) {
      for (int64_t r = 0; r < d.rank; ++r) {
        double t = 0, t_size = 0;
        for (int64_t k = j * d.p(); k < std::min((j + 1) * d.p(), d.in); ++k) {
          const double term = V((monarch ? i * d.rank : 0) + r, k, j) * at(x.values, token * d.in + k);
          t += term;
          t_size += std::fabs(term);
        }
        const double scale =
            spec.structure == Structure::kBlast ? at(s.values, (i * d.b_in + j) * d.rank + r) : 1;
        const size_t target = static_cast<size_t>(monarch ? j * d.rank + r : r);
        z[target] += scale * t;
        z_size[target] += std::fabs(scale) * t_size;
      }
    }
    for (int64_t o = 0; o < d.out; ++o) {
      if ((spec.order == OutputOrder::kInterleaved ? o % d.b_out : o / d.q()) != i) continue;
      double sum = spec.bias == 0 ? 0 : at(b.values, spec.bias == 1 ? 0 : o);
      double size = std::fabs(sum);
      for (int64_t r = 0; r < URow(spec); ++r) {
        const double weight = U(o, r);
        sum += weight * z[static_cast<size_t>(r)];
        size += std::fabs(weight) * z_size[static_cast<size_t>(r)];
      }
      (*result)[static_cast<size_t>(o)] = sum;
      (*magnitude)[static_cast<size_t>(o)] = size;
    }
  }
}

std::string TestProblem::Compare() const {
  const Dims& d = spec.dims;
  // Sums of n terms in fp32 are off by at most n·2⁻²⁴ of the sum of magnitudes; the three stages have this
  // many.
  // In bfloat16 X, V, z and U are rounded to 8 bits beside that.
  const double rounding = spec.compute == Compute::kBFloat16 ? 4 * std::ldexp(1.0, -9) : 0;
  const double unit = static_cast<double>(d.p() + d.b_in + URow(spec) + 6) * std::ldexp(1.0, -24) + rounding;
  const double y_unit = spec.x_type == DType::kFloat16 ? std::ldexp(1.0, -11) : std::ldexp(1.0, -24);
  const double y_tiny = spec.x_type == DType::kFloat16 ? std::ldexp(1.0, -25) : 1e-37;
  const double max = spec.x_type == DType::kFloat16 ? 65520 : 3.4e38;
  std::vector<double> expected(static_cast<size_t>(d.out)), magnitude(expected.size());
  for (int64_t t = 0; t < spec.tokens; ++t) {
    Define(t, &expected, &magnitude);
    for (int64_t o = 0; o < d.out; ++o) {
      const double before = expected[static_cast<size_t>(o)];
      double want = Activate(spec.activation, before);
      const double found = Decode(y.data(), spec.x_type, t * d.out + o);
      if (std::isnan(want) && std::isnan(found)) continue;
      if (std::fabs(want) >= max) want = std::copysign(INFINITY, want);
      if (std::isinf(want) && want == found) continue;
      // Activations stretch by at most 1.13; their own polynomials are good to 4e-7 of v.
      const double activation = spec.activation > Activation::kRelu ? 4e-7 * std::fabs(before) : 0;
      const double tolerance =
          1.2 * unit * magnitude[static_cast<size_t>(o)] + activation + y_unit * std::fabs(want) + y_tiny;
      if (std::fabs(found - want) <= tolerance) continue;
      std::ostringstream text;
      text << Describe(spec) << ": y[" << t << ", " << o << "] = " << found << ", expected " << want << " ± "
           << tolerance;
      return text.str();
    }
  }
  return "";
}

}  // namespace blockrank::test
