// Shapes of nodes: what is accepted, what is inferred, and the sentence for what is not.
#include "core/shape_check.h"

#include "check.h"

namespace blockrank {
namespace {

Shape Of(std::vector<int64_t> dims) { return {true, std::move(dims)}; }

InputShapes Blast() {
  InputShapes shapes;
  shapes.x = Of({2, 7, 6});
  shapes.v = Of({4, 6});
  shapes.s = Of({2, 3, 4});
  shapes.u = Of({5, 4});
  return shapes;
}

std::string Message(Structure structure, const InputShapes& shapes) {
  Dims dims;
  return CheckShapes(structure, shapes, &dims);
}

void Expect(const std::string& message, const std::string& expected) {
  CHECK(message == expected) << "\n    found    " << message << "\n    expected " << expected;
}

TEST(ShapesOfBlastGiveItsSizes) {
  Dims dims;
  Expect(CheckShapes(Structure::kBlast, Blast(), &dims), "");
  CHECK(dims.in == 6 && dims.out == 5 && dims.b_in == 3 && dims.b_out == 2 && dims.rank == 4);
  CHECK(dims.p() == 2 && dims.q() == 3);
}

TEST(ShapesOfMonarchAndLowRankGiveTheirSizes) {
  InputShapes shapes;
  shapes.x = Of({6});
  shapes.v = Of({2, 4, 6});
  shapes.u = Of({5, 3, 4});
  Dims dims;
  Expect(CheckShapes(Structure::kMonarch, shapes, &dims), "");
  CHECK(dims.in == 6 && dims.out == 5 && dims.b_in == 3 && dims.b_out == 2 && dims.rank == 4);
  shapes.v = Of({4, 6});
  shapes.u = Of({5, 4});
  Expect(CheckShapes(Structure::kLowRank, shapes, &dims), "");
  CHECK(dims.b_in == 1 && dims.b_out == 1 && dims.rank == 4);
}

TEST(ScalesOfInt8FactorsHaveOneForEachRowOfABlock) {
  InputShapes shapes = Blast();
  shapes.v_scale = Of({3, 4});
  shapes.u_scale = Of({5});
  Expect(Message(Structure::kBlast, shapes), "");
  shapes.v_scale = Of({4});
  Expect(Message(Structure::kBlast, shapes),
         "input VScale: expected shape [b_in, r] = [?, 4] (2 dimensions), every size at least 1; found [4]");
  shapes.v_scale = Of({2, 4});
  Expect(Message(Structure::kBlast, shapes),
         "input S: expected shape [b_out, b_in, r] = [?, 2, 4], every size at least 1; found [2, 3, 4]");
  shapes.v_scale = Of({3, 4});
  shapes.u_scale = Of({4});
  Expect(Message(Structure::kBlast, shapes),
         "input UScale: expected shape [out] = [5], every size at least 1; found [4]");
}

TEST(ScalesOfMonarchAndLowRank) {
  InputShapes shapes;
  shapes.v = Of({2, 4, 6});
  shapes.u = Of({5, 3, 4});
  shapes.v_scale = Of({2, 3, 4});
  shapes.u_scale = Of({5, 3});
  Expect(Message(Structure::kMonarch, shapes), "");
  shapes.u_scale = Of({5, 1});
  Expect(Message(Structure::kMonarch, shapes),
         "input UScale: expected shape [out, b_in] = [5, 3], every size at least 1; found [5, 1]");
  shapes.v = Of({4, 6});
  shapes.u = Of({5, 4});
  shapes.v_scale = Of({4});
  shapes.u_scale = Of({5});
  Expect(Message(Structure::kLowRank, shapes), "");
  shapes.v_scale = Of({6});
  Expect(Message(Structure::kLowRank, shapes),
         "input VScale: expected shape [r] = [4], every size at least 1; found [6]");
}

TEST(UnknownSizesAreNotRefused) {
  InputShapes shapes = Blast();
  shapes.v = {};
  shapes.s = Of({-1, 3, -1});
  shapes.x.dims.back() = -1;
  Dims dims;
  Expect(CheckShapes(Structure::kBlast, shapes, &dims), "");
  CHECK(dims.in == -1 && dims.rank == 4 && dims.b_in == 3);
}

TEST(WrongShapesAreNamed) {
  InputShapes shapes = Blast();
  shapes.u = Of({5, 3});
  Expect(Message(Structure::kBlast, shapes),
         "input U: expected shape [out, r] = [?, 4], every size at least 1; found [5, 3]");
  shapes = Blast();
  shapes.s = Of({2, 3});
  Expect(Message(Structure::kBlast, shapes),
         "input S: expected shape [b_out, b_in, r] = [?, ?, 4] (3 dimensions), every size at least 1; found "
         "[2, 3]");
  shapes = Blast();
  shapes.v = Of({0, 6});
  Expect(Message(Structure::kBlast, shapes),
         "input V: expected shape [r, in] = [?, ?], every size at least 1; found [0, 6]");
  shapes = Blast();
  shapes.x = Of({2, 5});
  Expect(Message(Structure::kBlast, shapes),
         "input X: expected a last dimension of 6 (as in the factor V), found shape [2, 5]");
  shapes.x = Of({});
  Expect(Message(Structure::kBlast, shapes), "input X: expected at least one dimension, found a scalar");
}

TEST(BlocksMustHoldAFeatureEach) {
  InputShapes shapes = Blast();
  shapes.s = Of({4, 3, 4});  // blocks of 2 rows: 2, 2, 1, 0
  Expect(Message(Structure::kBlast, shapes),
         "b_out = 4 blocks do not fit out = 5: with blocks of 2 the last one would be empty");
  shapes.s = Of({3, 4, 4});
  Expect(Message(Structure::kBlast, shapes),
         "b_in = 4 blocks do not fit in = 6: with blocks of 2 the last one would be empty");
  shapes.s = Of({5, 6, 4});
  Expect(Message(Structure::kBlast, shapes), "");
}

TEST(BiasHasOneValueOrOnePerOutput) {
  InputShapes shapes = Blast();
  shapes.has_bias = true;
  for (const int64_t size : {1, 5}) {
    shapes.bias = Of({size});
    Expect(Message(Structure::kBlast, shapes), "");
  }
  shapes.bias = Of({4});
  Expect(Message(Structure::kBlast, shapes), "input B: expected shape [out] = [5] or [1], found [4]");
  shapes.bias = Of({1, 5});
  Expect(Message(Structure::kBlast, shapes), "input B: expected shape [out] = [5] or [1], found [1, 5]");
}

}  // namespace
}  // namespace blockrank
