// The innermost loops of linear algebra, one set for each instruction set.
#pragma once

#include <cstdint>

namespace blockrank::linalg {

/// For products of T, double or float.
template <class T>
struct ProductKernels {
  /// A tile of a product is `rows` × `columns`.
  int rows, columns;
  /// c (+)= scale · aᵀ·b over `depth`: a is [depth, rows], b [depth, columns]; only `height` × `width` of it
  /// is stored.
  void (*tile)(int64_t depth, const T* a, const T* b, T scale, bool add, T* c, int64_t stride, int64_t height,
               int64_t width);
  /// Copies `depth` × `width` numbers, from [depth, ...] or, `turned`, from [..., depth], to [depth, panel]
  /// with zeros behind.
  void (*pack)(const T* from, int64_t stride, bool turned, int64_t depth, int64_t width, int64_t panel,
               T* to);
};

struct Kernels {
  const char* name;
  ProductKernels<double> doubles;
  ProductKernels<float> floats;
  double (*dot)(const double* x, const double* y, int64_t count);
  /// y += factor · x
  void (*add)(double factor, const double* x, double* y, int64_t count);
  /// y += factor · x ∘ z
  void (*add_product)(double factor, const double* x, const double* z, double* y, int64_t count);
};

/// The widest that this processor runs.
const Kernels& ChosenKernels();

template <class T>
const ProductKernels<T>& ProductKernelsOf(const Kernels& kernels);
template <>
inline const ProductKernels<double>& ProductKernelsOf<double>(const Kernels& kernels) {
  return kernels.doubles;
}
template <>
inline const ProductKernels<float>& ProductKernelsOf<float>(const Kernels& kernels) {
  return kernels.floats;
}

}  // namespace blockrank::linalg
