#include "product.h"

#include <algorithm>
#include <memory>

#include "kernels.h"
#include "pool.h"

namespace blockrank::linalg {
namespace {

// A strip of this depth of a tile's rows stays in the first-level cache, and a job's columns of it in the
// second.
constexpr int64_t kDepth = 256;
constexpr int64_t kJobRows = 64;
constexpr int64_t kJobColumns = 96;
/// Multiplications below which threads are not worth telling.
constexpr int64_t kAlone = 1 << 17;

int64_t Panels(int64_t size, int64_t panel) { return (size + panel - 1) / panel; }

/// Room that the thread keeps for its next product.
template <class T>
class Room {
 public:
  T* Of(size_t count) {
    if (count > size_) {
      data_.reset();
      data_.reset(new T[count]);
      size_ = count;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<T[]> data_;
  size_t size_ = 0;
};

/// One strip of an operand's depth as panels of `width`, [batch][panels][depth][width].
template <class T>
struct Packed {
  const OperandOf<T>& from;
  int64_t size, width, count, batch;
  T* data = nullptr;

  Packed(const OperandOf<T>& operand, int64_t size, int64_t width, int64_t batch)
      : from(operand),
        size(size),
        width(width),
        count(Panels(size, width)),
        batch(operand.step ? batch : 1) {}

  size_t Length(int64_t depth) const { return batch * count * width * depth; }
  const T* At(int64_t matrix, int64_t panel, int64_t depth) const {
    return data + ((batch == 1 ? 0 : matrix) * count + panel) * width * depth;
  }
  /// `along` says whether the depth runs along the operand's rows.
  void Pack(const ProductKernels<T>& kernels, int64_t job, int64_t start, int64_t depth, bool along) {
    const int64_t matrix = job / count, first = job % count * width;
    const T* origin = from.data + matrix * from.step;
    const T* at = along ? origin + first * from.stride + start : origin + start * from.stride + first;
    kernels.pack(at, from.stride, along, depth, std::min(width, size - first), width,
                 data + job * width * depth);
  }
};

/// `lower`: tiles that lie above the diagonal are left out.
template <class T>
void MultiplyTiles(const Shape& shape, const OperandOf<T>& a, const OperandOf<T>& b, T* c, int64_t stride,
                   int64_t step, T scale, bool add, bool lower) {
  const int64_t rows = shape.rows, depth = shape.depth, columns = shape.columns, batch = shape.batch;
  if (rows == 0 || columns == 0) return;
  const ProductKernels<T>& kernels = ProductKernelsOf<T>(ChosenKernels());
  Packed<T> left(a, rows, kernels.rows, batch), right(b, columns, kernels.columns, batch);
  const int64_t job_rows = kJobRows / left.width,
                job_columns = std::max<int64_t>(kJobColumns / right.width, 1);
  const int64_t row_jobs = Panels(left.count, job_rows), column_jobs = Panels(right.count, job_columns);
  const bool alone = rows * columns * depth * batch < kAlone;
  const auto spread = [&](int64_t count, const auto& body) {
    if (!alone) return ParallelFor(count, body);
    for (int64_t i = 0; i < count; ++i) body(i);
  };
  static thread_local Room<T> room;
  // A product of no depth is zero.
  for (int64_t start = 0; start == 0 || start < depth; start += kDepth) {
    const int64_t part = std::min(kDepth, depth - start);
    left.data = room.Of(left.Length(part) + right.Length(part));
    right.data = left.data + left.Length(part);
    const int64_t left_panels = left.batch * left.count, panels = left_panels + right.batch * right.count;
    spread(panels, [&](int64_t job) {
      if (job < left_panels)
        left.Pack(kernels, job, start, part, !a.turned);
      else
        right.Pack(kernels, job - left_panels, start, part, b.turned);
    });
    spread(batch * row_jobs * column_jobs, [&](int64_t job) {
      const int64_t matrix = job / (row_jobs * column_jobs);
      const int64_t top = job / column_jobs % row_jobs * job_rows, first = job % column_jobs * job_columns;
      for (int64_t i = top; i < std::min(top + job_rows, left.count); ++i)
        for (int64_t j = first; j < std::min(first + job_columns, right.count); ++j) {
          if (lower && j * right.width >= (i + 1) * left.width) break;
          kernels.tile(part, left.At(matrix, i, part), right.At(matrix, j, part), scale, add || start > 0,
                       c + matrix * step + i * left.width * stride + j * right.width, stride,
                       std::min(left.width, rows - i * left.width),
                       std::min(right.width, columns - j * right.width));
        }
    });
  }
}

}  // namespace

void Multiply(const Shape& shape, const Operand& a, const Operand& b, double* c, int64_t stride, int64_t step,
              double scale, bool add) {
  MultiplyTiles<double>(shape, a, b, c, stride, step, scale, add, false);
}

void Multiply(const Shape& shape, const FloatOperand& a, const FloatOperand& b, float* c, bool symmetric) {
  const int64_t n = shape.columns;
  MultiplyTiles<float>(shape, a, b, c, n, 0, 1, false, symmetric);
  if (!symmetric) return;
  ParallelFor(Panels(n, kJobRows), [&](int64_t job) {
    for (int64_t i = job * kJobRows; i < std::min((job + 1) * kJobRows, n); ++i)
      for (int64_t j = i + 1; j < n; ++j) c[i * n + j] = c[j * n + i];
  });
}

}  // namespace blockrank::linalg
