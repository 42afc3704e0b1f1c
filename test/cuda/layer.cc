#include "layer.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <thread>

namespace blockrank::check {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
double Round(float v, uint8_t* bytes) {
  T stored;
  if constexpr (std::is_same_v<T, float>) stored = v;
  if constexpr (std::is_same_v<T, __half>) stored = __float2half_rn(v);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) stored = __float2bfloat16_rn(v);
  std::memcpy(bytes, &stored, sizeof(T));
  return static_cast<double>(static_cast<float>(stored));
}

double Activate(double v, blockrank_cuda_activation activation) {
  switch (activation) {
    case BLOCKRANK_CUDA_RELU:
      return v > 0 ? v : 0;
    case BLOCKRANK_CUDA_GELU:
      return v / 2 * (1 + std::erf(v / std::sqrt(2.0)));
    case BLOCKRANK_CUDA_GELU_TANH:
      return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    case BLOCKRANK_CUDA_SILU:
      return v / (1 + std::exp(-v));
    default:
      return v;
  }
}

// A value with the variance of its error.
struct Noisy {
  double value, variance;
};

// The maths of docs/operators.md for one token, as plain loops.
class TokenReference {
 public:
  TokenReference(const Case& c)
      : c_(c),
        l_(c.layer),
        p_(CeilDiv(l_.in, l_.b_in)),
        q_(CeilDiv(l_.out, l_.b_out)),
        int8_(l_.factor_type == BLOCKRANK_CUDA_INT8),
        kept_rounding_(l_.io_type == l_.factor_type || int8_ ? UnitRoundoff(l_.io_type) : kFloat),
        factor_rounding_(int8_        ? kept_rounding_
                         : IsTf32(l_) ? std::sqrt(2.0) * 0x1p-11
                                      : 0) {}

  void Run(int64_t token, double* y, double* deviation) const {
    for (int64_t o = 0; o < l_.out; ++o) y[o] = deviation[o] = 0;
    if (l_.structure == BLOCKRANK_CUDA_MONARCH) {
      Monarch(token, y, deviation);
    } else {
      Shared(token, y, deviation);
    }
  }

 private:
  static constexpr double kFloat = 1.0 / (1 << 24);

  static bool IsTf32(const blockrank_cuda_layer& l) {
    return l.allow_tf32 != 0 && l.io_type == BLOCKRANK_CUDA_FLOAT32 &&
           l.factor_type == BLOCKRANK_CUDA_FLOAT32;
  }

  // Σ_c v[row, c]·x[c] over block j; v's rows have `in` columns.
  Noisy InputProduct(int64_t token, int64_t row, int64_t j) const {
    double sum = 0, squares = 0;
    const int64_t last = std::min(l_.in, (j + 1) * p_);
    for (int64_t c = j * p_; c < last; ++c) {
      const double term = c_.v.values[row * l_.in + c] * c_.x.values[token * l_.in + c];
      sum += term;
      squares += term * term;
    }
    return Rounded(
        {sum, (kFloat * kFloat * static_cast<double>(last - j * p_) + factor_rounding_ * factor_rounding_) *
                  squares});
  }

  Noisy Rounded(Noisy v) const { return {v.value, v.variance + std::pow(kept_rounding_ * v.value, 2)}; }

  // y[o] from the k values of its block.
  void Output(const std::vector<Noisy>& z, int64_t o, double* y, double* deviation) const {
    const auto k = static_cast<int64_t>(z.size());
    double sum = 0, variance = 0, squares = 0;
    for (int64_t i = 0; i < k; ++i) {
      const double u = c_.u.values[o * k + i];
      sum += u * z[i].value;
      squares += u * u * z[i].value * z[i].value;
      variance += u * u * z[i].variance;
    }
    variance += (kFloat * kFloat * static_cast<double>(k) + factor_rounding_ * factor_rounding_) * squares;
    if (l_.bias != BLOCKRANK_CUDA_NO_BIAS) sum += c_.b.values[l_.bias == BLOCKRANK_CUDA_BIAS_VECTOR ? o : 0];
    const double out = Activate(sum, l_.activation);
    // The activations' slopes are at most 1.13; their own float32 arithmetic costs a few ulps of the
    // argument. The smallest step of float16 bounds what is rounded to a subnormal.
    const double storing = UnitRoundoff(l_.io_type) * std::abs(out) + 4 * kFloat * std::abs(sum);
    const double smallest = l_.io_type == BLOCKRANK_CUDA_FLOAT16 ? std::ldexp(1.0, -25) : 1e-37;
    y[o] = out;
    deviation[o] = std::sqrt(1.13 * 1.13 * variance + storing * storing) + smallest;
  }

  void Shared(int64_t token, double* y, double* deviation) const {
    std::vector<std::vector<Noisy>> t(l_.b_in, std::vector<Noisy>(l_.r));
    for (int64_t j = 0; j < l_.b_in; ++j)
      for (int64_t row = 0; row < l_.r; ++row) t[j][row] = InputProduct(token, row, j);
    for (int64_t i = 0; i < l_.b_out; ++i) {
      std::vector<Noisy> z = t[0];
      if (l_.structure == BLOCKRANK_CUDA_BLAST)
        for (int64_t row = 0; row < l_.r; ++row) {
          Noisy sum = {0, 0};
          double squares = 0;
          for (int64_t j = 0; j < l_.b_in; ++j) {
            const double s = c_.s.values[(i * l_.b_in + j) * l_.r + row];
            sum.value += s * t[j][row].value;
            sum.variance += s * s * t[j][row].variance;
            squares += s * s * t[j][row].value * t[j][row].value;
          }
          sum.variance +=
              (kFloat * kFloat * static_cast<double>(l_.b_in) + factor_rounding_ * factor_rounding_) *
              squares;
          z[row] = Rounded(sum);
        }
      for (int64_t o = i * q_; o < std::min(l_.out, (i + 1) * q_); ++o) Output(z, o, y, deviation);
    }
  }

  void Monarch(int64_t token, double* y, double* deviation) const {
    for (int64_t i = 0; i < l_.b_out; ++i) {
      std::vector<Noisy> t;
      for (int64_t j = 0; j < l_.b_in; ++j)
        for (int64_t row = 0; row < l_.r; ++row) t.push_back(InputProduct(token, i * l_.r + row, j));
      for (int64_t o = 0; o < l_.out; ++o) {
        const bool owned = l_.output_order == BLOCKRANK_CUDA_INTERLEAVED ? o % l_.b_out == i : o / q_ == i;
        if (owned) Output(t, o, y, deviation);
      }
    }
  }

  const Case& c_;
  const blockrank_cuda_layer& l_;
  int64_t p_, q_;
  bool int8_;
  double kept_rounding_;    // of t and z
  double factor_rounding_;  // of a product: int8 factors are widened to 16 bits, tf32 rounds both operands
};

}  // namespace

int64_t SizeOf(blockrank_cuda_type type) {
  return type == BLOCKRANK_CUDA_FLOAT32 ? 4 : type == BLOCKRANK_CUDA_INT8 ? 1 : 2;
}

double UnitRoundoff(blockrank_cuda_type type) {
  return type == BLOCKRANK_CUDA_FLOAT32 ? 0x1p-24 : type == BLOCKRANK_CUDA_FLOAT16 ? 0x1p-11 : 0x1p-8;
}

Tensor RandomTensor(blockrank_cuda_type type, int64_t count, double deviation, uint64_t seed) {
  Tensor tensor = {type, std::vector<uint8_t>(count * SizeOf(type)), std::vector<double>(count)};
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, static_cast<float>(deviation));
  for (int64_t i = 0; i < count; ++i) {
    uint8_t* bytes = tensor.bytes.data() + i * SizeOf(type);
    const float v = normal(random);
    tensor.values[i] = type == BLOCKRANK_CUDA_FLOAT32   ? Round<float>(v, bytes)
                       : type == BLOCKRANK_CUDA_FLOAT16 ? Round<__half>(v, bytes)
                                                        : Round<__nv_bfloat16>(v, bytes);
  }
  return tensor;
}

std::vector<double> Decode(blockrank_cuda_type type, const std::vector<uint8_t>& bytes) {
  std::vector<double> values(bytes.size() / SizeOf(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == BLOCKRANK_CUDA_FLOAT32) {
      float v;
      std::memcpy(&v, bytes.data() + i * 4, 4);
      values[i] = v;
    } else if (type == BLOCKRANK_CUDA_FLOAT16) {
      __half v;
      std::memcpy(&v, bytes.data() + i * 2, 2);
      values[i] = __half2float(v);
    } else {
      __nv_bfloat16 v;
      std::memcpy(&v, bytes.data() + i * 2, 2);
      values[i] = __bfloat162float(v);
    }
  }
  return values;
}

namespace {

// Replaces a tensor of `rows` × `columns` by int8 with scales near its deviation: scale_of(row, column) is
// the place of an element's scale among `scales`.
template <class ScaleOf>
Tensor Quantized(const Tensor& tensor, int64_t columns, const Tensor& scales, ScaleOf scale_of,
                 uint64_t seed) {
  Tensor q = {BLOCKRANK_CUDA_INT8, std::vector<uint8_t>(tensor.values.size()),
              std::vector<double>(tensor.values.size())};
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < q.values.size(); ++i) {
    const auto value = static_cast<int8_t>(static_cast<int64_t>(random() % 255) - 127);
    q.bytes[i] = static_cast<uint8_t>(value);
    const auto at = static_cast<int64_t>(i);
    q.values[i] = value * scales.values[scale_of(at / columns, at % columns)];
  }
  return q;
}

void Quantize(Case& c, uint64_t seed) {
  const blockrank_cuda_layer& l = c.layer;
  const bool monarch = l.structure == BLOCKRANK_CUDA_MONARCH;
  const int64_t p = CeilDiv(l.in, l.b_in), k = monarch ? l.b_in * l.r : l.r;
  const auto deviation = [](int64_t sum) { return 1 / (73.6 * std::sqrt(static_cast<double>(sum))); };
  c.v_scale = RandomTensor(l.scale_type, (monarch ? l.b_out : 1) * l.b_in * l.r, deviation(p), seed * 8 + 6);
  c.u_scale = RandomTensor(l.scale_type, l.out * (monarch ? l.b_in : 1), deviation(k), seed * 8 + 7);
  c.v = Quantized(
      c.v, l.in, c.v_scale,
      [&](int64_t row, int64_t column) {
        const int64_t i = row / l.r;  // 0 unless Monarch
        return (i * l.b_in + column / p) * l.r + row % l.r;
      },
      seed);
  c.u = Quantized(
      c.u, k, c.u_scale,
      [&](int64_t row, int64_t column) { return monarch ? row * l.b_in + column / l.r : row; }, seed + 1);
}

}  // namespace

Case RandomCase(const blockrank_cuda_layer& l, int64_t tokens, uint64_t seed) {
  const bool monarch = l.structure == BLOCKRANK_CUDA_MONARCH, blast = l.structure == BLOCKRANK_CUDA_BLAST;
  const double p = static_cast<double>(CeilDiv(l.in, l.b_in)),
               k = static_cast<double>(monarch ? l.b_in * l.r : l.r);
  Case c = {l, tokens, {}, {}, {}, {}, {}, {}, {}};
  c.x = RandomTensor(l.io_type, tokens * l.in, 1.0, seed * 8 + 1);
  const bool int8 = l.factor_type == BLOCKRANK_CUDA_INT8;
  const blockrank_cuda_type factor = int8 ? BLOCKRANK_CUDA_FLOAT32 : l.factor_type;
  c.v = RandomTensor(factor, (monarch ? l.b_out : 1) * l.r * l.in, 1 / std::sqrt(p), seed * 8 + 2);
  c.s = RandomTensor(int8 ? l.scale_type : factor, blast ? l.b_out * l.b_in * l.r : 0,
                     1 / std::sqrt(static_cast<double>(l.b_in)), seed * 8 + 3);
  c.u = RandomTensor(factor, l.out * static_cast<int64_t>(k), 1 / std::sqrt(k), seed * 8 + 4);
  const int64_t biases = l.bias == BLOCKRANK_CUDA_BIAS_VECTOR   ? l.out
                         : l.bias == BLOCKRANK_CUDA_BIAS_SCALAR ? 1
                                                                : 0;
  c.b = RandomTensor(l.io_type, biases, 1.0, seed * 8 + 5);
  if (int8) Quantize(c, seed);
  return c;
}

std::string Describe(const Case& c) {
  const char* structures[] = {"blast", "monarch", "low rank"};
  const char* types[] = {"f32", "f16", "bf16", "int8"};
  const blockrank_cuda_layer& l = c.layer;
  char text[256];
  snprintf(text, sizeof text,
           "%s %lld→%lld b %lld×%lld r %lld, %s x %s%s, activation %d, order %d, bias %d, %lld tokens",
           structures[l.structure], static_cast<long long>(l.in), static_cast<long long>(l.out),
           static_cast<long long>(l.b_in), static_cast<long long>(l.b_out), static_cast<long long>(l.r),
           types[l.io_type], types[l.factor_type], l.allow_tf32 ? " in tf32" : "", l.activation,
           l.output_order, l.bias, static_cast<long long>(c.tokens));
  return text;
}

Expected Reference(const Case& c, const std::vector<int64_t>& tokens) {
  const int64_t out = c.layer.out, count = static_cast<int64_t>(tokens.size());
  Expected expected = {tokens, std::vector<double>(count * out), std::vector<double>(count * out)};
  const TokenReference reference(c);
  const int64_t workers = std::min<int64_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> threads;
  for (int64_t w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      for (int64_t i = w; i < count; i += workers)
        reference.Run(tokens[i], expected.y.data() + i * out, expected.deviation.data() + i * out);
    });
  for (std::thread& thread : threads) thread.join();
  return expected;
}

Verdict Compare(const Case& c, const Expected& expected, const std::vector<double>& y) {
  const int64_t out = c.layer.out;
  double worst = 0, squares = 0;
  bool finite = true;
  for (size_t i = 0; i < expected.tokens.size(); ++i)
    for (int64_t o = 0; o < out; ++o) {
      const double got = y[expected.tokens[i] * out + o];
      const double error = std::abs(got - expected.y[i * out + o]) / expected.deviation[i * out + o];
      finite = finite && std::isfinite(error);
      worst = std::max(worst, error);
      squares += error * error;
    }
  const double count = static_cast<double>(std::max<size_t>(expected.y.size(), 1)),
               rms = std::sqrt(squares / count);
  Verdict verdict = {finite && worst <= 6 && rms <= 1.5, worst, rms, ""};
  if (!verdict.right) {
    char text[512];
    snprintf(text, sizeof text,
             "%s: worst error %.3g deviations (6 allowed), root mean square %.3g (1.5 allowed)%s",
             Describe(c).c_str(), worst, rms, finite ? "" : ", with NaN or infinity");
    verdict.message = text;
  }
  return verdict;
}

}  // namespace blockrank::check
