#include "exports.h"

#include <atomic>
#include <stdexcept>
#include <string>

#include "../napi_values.h"
#include "cholesky.h"
#include "forms.h"
#include "pool.h"
#include "product.h"
#include "tridiagonal.h"

namespace blockrank::linalg {
namespace {

/// The arguments of a call, taken one after another. Arrays are held to the lengths that their caller says.
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kMost;
    napi_get_cb_info(env, info, &count, values_, nullptr, nullptr);
  }

  int64_t Integer() {
    int64_t value = 0;
    if (napi_get_value_int64(env_, values_[at_++], &value) != napi_ok || value < 0)
      throw std::invalid_argument("expected a whole number as argument " + std::to_string(at_));
    return value;
  }

  double Number() {
    double value = 0;
    if (napi_get_value_double(env_, values_[at_++], &value) != napi_ok)
      throw std::invalid_argument("expected a number as argument " + std::to_string(at_));
    return value;
  }

  bool Boolean() {
    bool value = false;
    if (napi_get_value_bool(env_, values_[at_++], &value) != napi_ok)
      throw std::invalid_argument("expected true or false as argument " + std::to_string(at_));
    return value;
  }

  double* Doubles() { return static_cast<double*>(Array(napi_float64_array, "Float64Array")); }
  float* Floats() { return static_cast<float*>(Array(napi_float32_array, "Float32Array")); }

  /// That the array taken as number `index` holds at least as much.
  void Require(int index, int64_t length) const {
    if (static_cast<int64_t>(lengths_[index]) < length)
      throw std::invalid_argument("array " + std::to_string(index) + " has " +
                                  std::to_string(lengths_[index]) + " numbers; expected at least " +
                                  std::to_string(length));
  }

  napi_value Result(bool value) const {
    napi_value result = nullptr;
    napi_get_boolean(env_, value, &result);
    return result;
  }

 private:
  /// `Require` says how much of it is used.
  void* Array(napi_typedarray_type expected, const char* name) {
    napi_typedarray_type type = napi_int8_array;
    void* data = nullptr;
    size_t& length = lengths_[arrays_++];
    if (napi_get_typedarray_info(env_, values_[at_++], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != expected)
      throw std::invalid_argument(std::string("expected a ") + name + " as argument " + std::to_string(at_));
    return data;
  }

  static constexpr int kMost = 12;
  napi_env env_;
  napi_value values_[kMost] = {};
  int at_ = 0;
  int arrays_ = 0;
  size_t lengths_[kMost] = {};
};

// threads(count)
napi_value Threads(Arguments& arguments) {
  SetThreads(static_cast<int>(arguments.Integer()));
  return nullptr;
}

// multiply(a, turnedA, stepA, b, turnedB, stepB, c, rows, depth, columns, batch): a step of 0 uses one matrix
// for all.
napi_value Product(Arguments& arguments) {
  const double* a = arguments.Doubles();
  const bool turned_a = arguments.Boolean();
  const int64_t step_a = arguments.Integer();
  const double* b = arguments.Doubles();
  const bool turned_b = arguments.Boolean();
  const int64_t step_b = arguments.Integer();
  double* c = arguments.Doubles();
  const int64_t rows = arguments.Integer(), depth = arguments.Integer(), columns = arguments.Integer();
  const int64_t batch = arguments.Integer();
  const bool add = arguments.Boolean();
  if (batch == 0) return nullptr;
  arguments.Require(0, step_a * (batch - 1) + rows * depth);
  arguments.Require(1, step_b * (batch - 1) + depth * columns);
  arguments.Require(2, batch * rows * columns);
  Multiply({rows, depth, columns, batch}, {a, turned_a ? rows : depth, turned_a, step_a},
           {b, turned_b ? depth : columns, turned_b, step_b}, c, columns, rows * columns, 1, add);
  return nullptr;
}

// gram(a, b, rows, n, m, product): product = aᵀ·b of float32 arrays [rows, n] and [rows, m], which may be
// one.
napi_value Gram(Arguments& arguments) {
  const float* a = arguments.Floats();
  const float* b = arguments.Floats();
  const int64_t rows = arguments.Integer(), n = arguments.Integer(), m = arguments.Integer();
  float* product = arguments.Floats();
  arguments.Require(0, rows * n);
  arguments.Require(1, rows * m);
  arguments.Require(2, n * m);
  Multiply({n, rows, m}, {a, n, true}, {b, m}, product, a == b && n == m);
  return nullptr;
}

// cholesky(a, n, count) → have all of the matrices a factor?
napi_value Factor(Arguments& arguments) {
  double* a = arguments.Doubles();
  const int64_t n = arguments.Integer(), count = arguments.Integer();
  arguments.Require(0, n * n * count);
  std::atomic<bool> definite{true};
  ParallelFor(count, [&](int64_t i) {
    if (!Cholesky(a + i * n * n, n)) definite = false;
  });
  return arguments.Result(definite);
}

// invertLower(l, n, count, inverse)
napi_value Invert(Arguments& arguments) {
  const double* l = arguments.Doubles();
  const int64_t n = arguments.Integer(), count = arguments.Integer();
  double* inverse = arguments.Doubles();
  arguments.Require(0, n * n * count);
  arguments.Require(1, n * n * count);
  ParallelFor(count, [&](int64_t i) { InvertLower(l + i * n * n, n, inverse + i * n * n); });
  return nullptr;
}

// solveCholesky(l, n, count, b)
napi_value Solve(Arguments& arguments) {
  const double* l = arguments.Doubles();
  const int64_t n = arguments.Integer(), count = arguments.Integer();
  double* b = arguments.Doubles();
  arguments.Require(0, n * n * count);
  arguments.Require(1, n * count);
  ParallelFor(count, [&](int64_t i) { SolveCholesky(l + i * n * n, n, b + i * n); });
  return nullptr;
}

// tridiagonalise(a, n, diagonal, off, scales)
napi_value Reduce(Arguments& arguments) {
  double* a = arguments.Doubles();
  const int64_t n = arguments.Integer();
  double* diagonal = arguments.Doubles();
  double* off = arguments.Doubles();
  double* scales = arguments.Doubles();
  arguments.Require(0, n * n);
  arguments.Require(1, n);
  arguments.Require(2, n - 1);
  arguments.Require(3, n);
  Tridiagonalise(a, n, diagonal, off, scales);
  return nullptr;
}

// transformBack(a, n, scales, vectors, count)
napi_value Back(Arguments& arguments) {
  const double* a = arguments.Doubles();
  const int64_t n = arguments.Integer();
  const double* scales = arguments.Doubles();
  double* vectors = arguments.Doubles();
  const int64_t count = arguments.Integer();
  arguments.Require(0, n * n);
  arguments.Require(1, n);
  arguments.Require(2, n * count);
  TransformBack(a, n, scales, vectors, count);
  return nullptr;
}

// removeParts(vectors, n, first, m)
napi_value Remove(Arguments& arguments) {
  double* vectors = arguments.Doubles();
  const int64_t n = arguments.Integer(), first = arguments.Integer(), m = arguments.Integer();
  arguments.Require(0, n * (m + 1));
  RemoveParts(vectors, n, first, m);
  return nullptr;
}

/// scales, outer, inner
Scales TakeScales(Arguments& arguments) {
  const double* data = arguments.Doubles();
  const int64_t outer = arguments.Integer(), inner = arguments.Integer();
  return {data, outer, inner};
}

// couple(scales, outer, inner, outputs, inputs, r, p, z, sums)
napi_value CoupleAll(Arguments& arguments) {
  const Scales s = TakeScales(arguments);
  const int64_t outputs = arguments.Integer(), inputs = arguments.Integer();
  const int64_t r = arguments.Integer(), p = arguments.Integer();
  const double* z = arguments.Doubles();
  double* sums = arguments.Doubles();
  if (outputs == 0 || inputs == 0) return nullptr;
  arguments.Require(0, (outputs - 1) * s.outer + (inputs - 1) * s.inner + r);
  arguments.Require(1, inputs * r * p);
  arguments.Require(2, outputs * r * p);
  Couple(s, outputs, inputs, r, p, z, sums);
  return nullptr;
}

// rowProducts(m, v, blocks, r, p, sums)
napi_value Rows(Arguments& arguments) {
  const double* m = arguments.Doubles();
  const double* v = arguments.Doubles();
  const int64_t blocks = arguments.Integer(), r = arguments.Integer(), p = arguments.Integer();
  double* sums = arguments.Doubles();
  arguments.Require(0, blocks * r * p);
  arguments.Require(1, r * p);
  arguments.Require(2, blocks * r);
  RowProducts(m, v, blocks, r, p, sums);
  return nullptr;
}

// columnForm(scales, outer, g, blocks, r, form)
napi_value Column(Arguments& arguments) {
  const double* s = arguments.Doubles();
  const int64_t outer = arguments.Integer();
  const double* g = arguments.Doubles();
  const int64_t blocks = arguments.Integer(), r = arguments.Integer();
  double* form = arguments.Doubles();
  arguments.Require(0, (blocks - 1) * outer + r);
  arguments.Require(1, blocks * r * r);
  arguments.Require(2, r * r);
  ColumnForm({s, outer, 0}, g, blocks, r, form);
  return nullptr;
}

// scaleForms(g, h, blocks, r, forms)
napi_value Forms(Arguments& arguments) {
  const double* g = arguments.Doubles();
  const double* h = arguments.Doubles();
  const int64_t blocks = arguments.Integer(), r = arguments.Integer();
  double* forms = arguments.Doubles();
  arguments.Require(0, blocks * r * r);
  arguments.Require(1, r * r);
  arguments.Require(2, blocks * r * r);
  ScaleForms(g, h, blocks, r, forms);
  return nullptr;
}

// addScaleShift(factor, g, h, scales, outer, blocks, r, sums)
napi_value Shift(Arguments& arguments) {
  const double factor = arguments.Number();
  const double* g = arguments.Doubles();
  const double* h = arguments.Doubles();
  const double* s = arguments.Doubles();
  const int64_t outer = arguments.Integer(), blocks = arguments.Integer(), r = arguments.Integer();
  double* sums = arguments.Doubles();
  arguments.Require(0, blocks * r * r);
  arguments.Require(1, r * r);
  arguments.Require(2, (blocks - 1) * outer + r);
  arguments.Require(3, blocks * r);
  AddScaleShift(factor, g, h, {s, outer, 0}, blocks, r, sums);
  return nullptr;
}

// addScaledForm(factor, scales, outer, h, blocks, r, forms)
napi_value ScaledForm(Arguments& arguments) {
  const double factor = arguments.Number();
  const double* s = arguments.Doubles();
  const int64_t outer = arguments.Integer();
  const double* h = arguments.Doubles();
  const int64_t blocks = arguments.Integer(), r = arguments.Integer();
  double* forms = arguments.Doubles();
  arguments.Require(0, (blocks - 1) * outer + r);
  arguments.Require(1, r * r);
  arguments.Require(2, blocks * r * r);
  AddScaledForm(factor, {s, outer, 0}, h, blocks, r, forms);
  return nullptr;
}

template <napi_value (*Function)(Arguments&)>
napi_value Guarded(napi_env env, napi_callback_info info) {
  try {
    Arguments arguments(env, info);
    return Function(arguments);
  } catch (const std::exception& e) {
    napi_throw_range_error(env, nullptr, e.what());
    return nullptr;
  }
}

template <napi_value (*Function)(Arguments&)>
void Export(napi_env env, napi_value object, const char* name) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, Guarded<Function>, nullptr, &function);
  Set(env, object, name, function);
}

}  // namespace

napi_value Exports(napi_env env) {
  napi_value object = NewObject(env);
  Export<Threads>(env, object, "threads");
  Export<Product>(env, object, "multiply");
  Export<Gram>(env, object, "gram");
  Export<Factor>(env, object, "cholesky");
  Export<Invert>(env, object, "invertLower");
  Export<Solve>(env, object, "solveCholesky");
  Export<Reduce>(env, object, "tridiagonalise");
  Export<Back>(env, object, "transformBack");
  Export<Remove>(env, object, "removeParts");
  Export<CoupleAll>(env, object, "couple");
  Export<Rows>(env, object, "rowProducts");
  Export<Column>(env, object, "columnForm");
  Export<Forms>(env, object, "scaleForms");
  Export<Shift>(env, object, "addScaleShift");
  Export<ScaledForm>(env, object, "addScaledForm");
  return object;
}

}  // namespace blockrank::linalg
