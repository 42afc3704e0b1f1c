#include "int8_reference.h"

#include <cmath>
#include <sstream>

#include "core/convert.h"

namespace blockrank::test {
namespace {

struct Quantized {
  std::vector<int64_t> values;
  float scale;
};

// One block: q = round(x · (127 / max|x|)), scale = max|x| / 127.
Quantized Quantize(const std::vector<float>& x) {
  Quantized result{std::vector<int64_t>(x.size()), 0};
  float largest = 0;
  bool finite = true;
  for (const float value : x) {
    finite = finite && std::isfinite(value);
    largest = std::max(largest, std::fabs(value));
  }
  if (!finite) result.scale = NAN;
  if (!finite || largest < std::ldexp(1.0f, -120)) return result;
  const float inverse = 127.0f / largest;
  for (size_t i = 0; i < x.size(); ++i) {
    const float scaled = x[i] * inverse;
    result.values[i] = std::lrint(scaled);
  }
  result.scale = largest / 127.0f;
  return result;
}

float At(const Tensor& tensor, int64_t index) {
  return static_cast<float>(tensor.values[static_cast<size_t>(index)]);
}

// (float(Σ w·q) · row_scale) · scale, w from `first` on
float Product(const Tensor& w, int64_t first, const Quantized& q, float row_scale) {
  int64_t sum = 0;
  for (size_t k = 0; k < q.values.size(); ++k)
    sum += std::lrint(w.values[static_cast<size_t>(first) + k]) * q.values[k];
  const float scaled = static_cast<float>(sum) * row_scale;
  return scaled * q.scale;
}

// One token.
class Token {
 public:
  Token(const TestProblem& problem, int64_t token) : p_(problem), d_(problem.spec.dims) {
    for (int64_t j = 0; j < d_.b_in; ++j) {
      std::vector<float> block;
      for (int64_t k = j * d_.p(); k < std::min((j + 1) * d_.p(), d_.in); ++k)
        block.push_back(At(p_.x, token * d_.in + k));
      x_.push_back(Quantize(block));
    }
  }

  void Define(float* y) const {
    for (int64_t i = 0; i < d_.b_out; ++i) {
      std::vector<Quantized> z;
      for (int64_t block = 0; block < Blocks(); ++block) z.push_back(Z(i, block));
      for (int64_t o = 0; o < d_.out; ++o) {
        const bool interleaved = p_.spec.order == OutputOrder::kInterleaved;
        if ((interleaved ? o % d_.b_out : o / d_.q()) != i) continue;
        float sum = p_.spec.bias == 0 ? 0.0f : At(p_.b, p_.spec.bias == 1 ? 0 : o);
        for (int64_t block = 0; block < Blocks(); ++block) {
          const int64_t row = o * Blocks() + block;
          sum = sum + Product(p_.u, row * d_.rank, z[static_cast<size_t>(block)], At(p_.u_scale, row));
        }
        y[o] = sum;
      }
    }
  }

 private:
  int64_t Blocks() const { return p_.spec.structure == Structure::kMonarch ? d_.b_in : 1; }

  float T(int64_t slab, int64_t j, int64_t k) const {
    return Product(p_.v, (slab * d_.rank + k) * d_.in + j * d_.p(), x_[static_cast<size_t>(j)],
                   At(p_.v_scale, (slab * d_.b_in + j) * d_.rank + k));
  }

  Quantized Z(int64_t i, int64_t block) const {
    const Structure structure = p_.spec.structure;
    std::vector<float> z;
    for (int64_t k = 0; k < d_.rank; ++k) {
      float sum = 0;
      if (structure != Structure::kBlast) sum = T(structure == Structure::kMonarch ? i : 0, block, k);
      for (int64_t j = 0; structure == Structure::kBlast && j < d_.b_in; ++j) {
        const float term = T(0, j, k) * At(p_.s, (i * d_.b_in + j) * d_.rank + k);
        sum = sum + term;
      }
      z.push_back(sum);
    }
    return Quantize(z);
  }

  const TestProblem& p_;
  const Dims& d_;
  std::vector<Quantized> x_;
};

}  // namespace

std::vector<float> DefineInt8(const TestProblem& problem) {
  const Dims& d = problem.spec.dims;
  std::vector<float> y(static_cast<size_t>(problem.spec.tokens * d.out));
  for (int64_t token = 0; token < problem.spec.tokens; ++token)
    Token(problem, token).Define(y.data() + token * d.out);
  return y;
}

std::string CompareInt8(const TestProblem& problem) {
  const Spec& spec = problem.spec;
  const std::vector<float> expected = DefineInt8(problem);
  const bool exact = spec.activation <= Activation::kRelu;
  const bool half = spec.x_type == DType::kFloat16;
  for (size_t at = 0; at < expected.size(); ++at) {
    const double before = expected[at];
    double want = Activate(spec.activation, before);
    const double found = Decode(problem.y.data(), spec.x_type, static_cast<int64_t>(at));
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

double RelativeError(const TestProblem& problem) {
  const int64_t out = problem.spec.dims.out;
  std::vector<double> want(static_cast<size_t>(out)), magnitude(want.size());
  double error = 0, norm = 0;
  for (int64_t token = 0; token < problem.spec.tokens; ++token) {
    problem.Define(token, &want, &magnitude);
    for (int64_t o = 0; o < out; ++o) {
      const double value = want[static_cast<size_t>(o)];
      const double found = Decode(problem.y.data(), problem.spec.x_type, token * out + o);
      error += (found - value) * (found - value);
      norm += value * value;
    }
  }
  return std::sqrt(error / norm);
}

}  // namespace blockrank::test
