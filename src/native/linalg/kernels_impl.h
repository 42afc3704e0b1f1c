// The loops of kernels.h on vectors of BLOCKRANK_VECTOR bytes, written on the compilers' vector
// extensions. In an unnamed namespace: each instruction set's file has its own copy, which the linker must
// not merge.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels.h"

namespace blockrank::linalg {
namespace {

typedef double Vec __attribute__((vector_size(BLOCKRANK_VECTOR)));
typedef float FloatVec __attribute__((vector_size(BLOCKRANK_VECTOR)));
constexpr int kLanes = BLOCKRANK_VECTOR / 8;

template <class V, class T>
inline V LoadAs(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vec Load(const double* p) { return LoadAs<Vec>(p); }
template <class V, class T>
inline void Store(T* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

template <class T, class V, int kRows, int kVectors>
void Tile(int64_t depth, const T* a, const T* b, T scale, bool add, T* c, int64_t stride, int64_t height,
          int64_t width) {
  constexpr int kWidth = sizeof(V) / sizeof(T);
  V sum[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k, a += kRows, b += kVectors * kWidth) {
    V right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = LoadAs<V>(b + v * kWidth);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] += a[i] * right[v];
  }
  if (height == kRows && width == kVectors * kWidth) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        T* at = c + i * stride + v * kWidth;
        Store(at, add ? LoadAs<V>(at) + scale * sum[i][v] : scale * sum[i][v]);
      }
    return;
  }
  for (int64_t i = 0; i < height; ++i) {
    T row[kVectors * kWidth];
    for (int v = 0; v < kVectors; ++v) Store(row + v * kWidth, scale * sum[i][v]);
    for (int64_t j = 0; j < width; ++j) c[i * stride + j] = add ? c[i * stride + j] + row[j] : row[j];
  }
}

template <class T>
void Pack(const T* from, int64_t stride, bool turned, int64_t depth, int64_t width, int64_t panel, T* to) {
  if (width < panel) std::fill(to, to + depth * panel, T(0));
  if (!turned) {
    for (int64_t k = 0; k < depth; ++k) std::memcpy(to + k * panel, from + k * stride, width * sizeof(T));
    return;
  }
  // A cache line of each row at a time.
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t start = 0; start < depth; start += kLine) {
    const int64_t end = std::min(start + kLine, depth);
    for (int64_t j = 0; j < width; ++j)
      for (int64_t k = start; k < end; ++k) to[k * panel + j] = from[j * stride + k];
  }
}

double Dot(const double* x, const double* y, int64_t count) {
  Vec sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] += Load(x + i + v * kLanes) * Load(y + i + v * kLanes);
  const Vec folded = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  double total = 0;
  for (int l = 0; l < kLanes; ++l) total += folded[l];
  for (; i < count; ++i) total += x[i] * y[i];
  return total;
}

void Add(double factor, const double* x, double* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(y + i, Load(y + i) + factor * Load(x + i));
  for (; i < count; ++i) y[i] += factor * x[i];
}

void AddProduct(double factor, const double* x, const double* z, double* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(y + i, Load(y + i) + factor * Load(x + i) * Load(z + i));
  for (; i < count; ++i) y[i] += factor * x[i] * z[i];
}

template <class T, class V, int kRows, int kVectors>
constexpr ProductKernels<T> ProductsOf() {
  return {kRows, static_cast<int>(kVectors * sizeof(V) / sizeof(T)), Tile<T, V, kRows, kVectors>, Pack<T>};
}

/// Registers decide the tile: sums, one row of b, and one number of a.
template <int kRows, int kVectors>
constexpr Kernels KernelsOf(const char* name) {
  return {name,
          ProductsOf<double, Vec, kRows, kVectors>(),
          ProductsOf<float, FloatVec, kRows, kVectors>(),
          Dot,
          Add,
          AddProduct};
}

}  // namespace
}  // namespace blockrank::linalg
