// The activations of docs/operators.md on vectors. Infinities and NaN give what the formulas give.
#pragma once

#include "core/params.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

inline Vec Select(IntVec mask, Vec yes, Vec no) { return (Vec)((mask & (IntVec)yes) | (~mask & (IntVec)no)); }

/// 2^x, relative error below 2e-7; 0 below 2⁻¹²⁶, infinity from 2¹²⁸ on. The polynomial is a minimax fit on
/// [−½, ½].
inline Vec Exp2(Vec x) {
  x = Select(x < -150.0f, Broadcast(-150.0f), x);
  x = Select(x > 150.0f, Broadcast(150.0f), x);
  const Vec magic = Broadcast(0x1.8p23f);  // adding it rounds to an integer, which is then in the low bits
  const Vec shifted = x + magic;
  const Vec f = x - (shifted - magic);
  IntVec n = (IntVec)shifted - (IntVec)magic;
  n = n < -127 ? BroadcastInt(-127) : n;
  n = n > 128 ? BroadcastInt(128) : n;
  Vec p = f * 0.000153458124f + 0.00133999309f;
  p = p * f + 0.00961848907f;
  p = p * f + 0.0555032864f;
  p = p * f + 0.240226462f;
  p = p * f + 0.693147182f;
  p = p * f + 1.0f;
  return p * (Vec)((n + 127) << 23);
}

inline Vec Exp(Vec x) { return Exp2(x * 1.44269504f); }

inline Vec Relu(Vec v) { return Select(v < 0.0f, Vec{}, v); }

inline Vec Silu(Vec v) { return v / (1.0f + Exp(-v)); }

// 1 + tanh(u) = 2 / (1 + e^−2u)
inline Vec GeluTanh(Vec v) {
  const Vec u = v * 0.797884561f * (1.0f + 0.044715f * (v * v));
  return v / (1.0f + Exp(-2.0f * u));
}

// 1 + erf(−a/√2) = erfc(a/√2) for a = |v|, as e^(−a²/2) times a minimax polynomial in 1/(1 + 0.35a) (relative
// error 4e-8 on [0, 15]), so that the negative tail keeps its relative precision.
inline Vec Gelu(Vec v) {
  const Vec a = Select(v < 0.0f, -v, v);
  const Vec s = 1.0f / (1.0f + 0.35f * a);
  Vec p = s * -0.0583275966f + 0.288120389f;
  p = p * s + -0.511801302f;
  p = p * s + 0.318783164f;
  p = p * s + -0.0465259291f;
  p = p * s + 0.211148903f;
  p = p * s + 0.239631161f;
  p = p * s + 0.279728651f;
  p = p * s + 0.279242516f;
  const Vec erfc = p * s * Exp2(a * a * -0.72134752f);
  return 0.5f * v * Select(v < 0.0f, erfc, 2.0f - erfc);
}

template <Activation kActivation>
inline Vec Activate(Vec v) {
  if constexpr (kActivation == Activation::kRelu) return Relu(v);
  if constexpr (kActivation == Activation::kGelu) return Gelu(v);
  if constexpr (kActivation == Activation::kGeluTanh) return GeluTanh(v);
  if constexpr (kActivation == Activation::kSilu) return Silu(v);
  return v;
}

}  // namespace
}  // namespace blockrank
