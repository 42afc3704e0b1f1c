// The end of stage 2: bias, activation, rounding to Y's type.
#pragma once

#include "cpu/activation.h"
#include "cpu/kernel_table.h"
#include "cpu/vec.h"

namespace blockrank {
namespace {

template <class T, Activation kActivation>
void StoreOutput(const StoreArgs& g) {
  for (int64_t t = 0; t < g.tokens; ++t) {
    const float* c = g.c + t * g.ldc;
    T* y = static_cast<T*>(g.y) + t * g.ldy;
    for (int64_t n = 0; n < g.columns; n += kLanes) {
      const int64_t here = g.columns - n < kLanes ? g.columns - n : kLanes;
      const Vec value = Activate<kActivation>(Load(c + n) + Load(g.bias + n));
      if (here == kLanes && g.column_stride == 1) {
        Store(y + n, value);
      } else {
        StorePartial(y + n * g.column_stride, value, here, g.column_stride);
      }
    }
  }
}

template <class F>
void Widen(const void* source, int64_t count, float* target) {
  const F* from = static_cast<const F*>(source);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(target + i, Load(from + i));
  if (i < count) StorePartial(target + i, LoadPartial(from + i, count - i), count - i, 1);
}

}  // namespace
}  // namespace blockrank
