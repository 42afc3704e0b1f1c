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
class Room {
 public:
  double* Of(size_t count) {
    if (count > size_) {
      data_.reset();
      data_.reset(new double[count]);
      size_ = count;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<double[]> data_;
  size_t size_ = 0;
};

/// One strip of an operand's depth as panels of `width`, [batch][panels][depth][width].
struct Packed {
  const Operand& from;
  int64_t size, width, count, batch;
  double* data = nullptr;

  Packed(const Operand& operand, int64_t size, int64_t width, int64_t batch)
      : from(operand),
        size(size),
        width(width),
        count(Panels(size, width)),
        batch(operand.step ? batch : 1) {}

  size_t Length(int64_t depth) const { return batch * count * width * depth; }
  const double* At(int64_t matrix, int64_t panel, int64_t depth) const {
    return data + ((batch == 1 ? 0 : matrix) * count + panel) * width * depth;
  }
  /// `along` says whether the depth runs along the operand's rows.
  void Pack(const Kernels& kernels, int64_t job, int64_t start, int64_t depth, bool along) {
    const int64_t matrix = job / count, first = job % count * width;
    const double* origin = from.data + matrix * from.step;
    const double* at = along ? origin + first * from.stride + start : origin + start * from.stride + first;
    kernels.pack(at, from.stride, along, depth, std::min(width, size - first), width,
                 data + job * width * depth);
  }
};

}  // namespace

void Multiply(const Shape& shape, const Operand& a, const Operand& b, double* c, int64_t stride, int64_t step,
              double scale, bool add) {
  const int64_t rows = shape.rows, depth = shape.depth, columns = shape.columns, batch = shape.batch;
  if (rows == 0 || columns == 0) return;
  const Kernels& kernels = ChosenKernels();
  Packed left(a, rows, kernels.rows, batch), right(b, columns, kernels.columns, batch);
  const int64_t job_rows = kJobRows / left.width,
                job_columns = std::max<int64_t>(kJobColumns / right.width, 1);
  const int64_t row_jobs = Panels(left.count, job_rows), column_jobs = Panels(right.count, job_columns);
  const bool alone = rows * columns * depth * batch < kAlone;
  const auto spread = [&](int64_t count, const auto& body) {
    if (!alone) return ParallelFor(count, body);
    for (int64_t i = 0; i < count; ++i) body(i);
  };
  static thread_local Room room;
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
        for (int64_t j = first; j < std::min(first + job_columns, right.count); ++j)
          kernels.tile(part, left.At(matrix, i, part), right.At(matrix, j, part), scale, add || start > 0,
                       c + matrix * step + i * left.width * stride + j * right.width, stride,
                       std::min(left.width, rows - i * left.width),
                       std::min(right.width, columns - j * right.width));
    });
  }
}

}  // namespace blockrank::linalg
