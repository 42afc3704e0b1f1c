#include "core/shape_check.h"

#include <sstream>

namespace blockrank {
namespace {

constexpr int64_t kUnknown = -1;

// A symbolic size of the operator reference ("out", "b_in", …) that the first input to state it fixes.
struct Symbol {
  const char* name;
  int64_t value = kUnknown;
};

std::string ShowDims(const std::vector<int64_t>& dims) {
  std::ostringstream text;
  text << '[';
  for (size_t i = 0; i < dims.size(); ++i) {
    if (i) text << ", ";
    if (dims[i] == kUnknown) {
      text << '?';
    } else {
      text << dims[i];
    }
  }
  text << ']';
  return text.str();
}

std::string Expected(const std::vector<Symbol*>& pattern) {
  std::ostringstream text;
  std::vector<int64_t> values;
  text << '[';
  for (size_t i = 0; i < pattern.size(); ++i) {
    text << (i ? ", " : "") << pattern[i]->name;
    values.push_back(pattern[i]->value);
  }
  text << "] = " << ShowDims(values);
  return text.str();
}

// Matches one input against its symbols, and lets it fix those that are still unknown.
std::string Match(const char* input, const Shape& shape, const std::vector<Symbol*>& pattern) {
  if (!shape.known) return "";
  bool matches = shape.dims.size() == pattern.size();
  for (size_t i = 0; matches && i < pattern.size(); ++i) {
    const int64_t found = shape.dims[i];
    matches =
        found == kUnknown || (found >= 1 && (pattern[i]->value == kUnknown || pattern[i]->value == found));
  }
  if (!matches) {
    return std::string("input ") + input + ": expected shape " + Expected(pattern) +
           (shape.dims.size() == pattern.size() ? ""
                                                : " (" + std::to_string(pattern.size()) + " dimensions)") +
           ", every size at least 1; found " + ShowDims(shape.dims);
  }
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (shape.dims[i] != kUnknown) pattern[i]->value = shape.dims[i];
  }
  return "";
}

std::string CheckX(const Shape& x, int64_t in) {
  if (!x.known) return "";
  if (x.dims.empty()) return "input X: expected at least one dimension, found a scalar";
  const int64_t found = x.dims.back();
  if (found == kUnknown || in == kUnknown || found == in) return "";
  return "input X: expected a last dimension of " + std::to_string(in) +
         " (as in the factor V), found shape " + ShowDims(x.dims);
}

std::string CheckBias(const Shape& bias, int64_t out) {
  if (!bias.known) return "";
  const bool one = bias.dims.size() == 1;
  const int64_t found = one ? bias.dims[0] : 0;
  if (one && (found == kUnknown || found == 1 || found == out || (out == kUnknown && found > 0))) return "";
  return "input B: expected shape [out] = [" + (out == kUnknown ? "?" : std::to_string(out)) +
         "] or [1], found " + ShowDims(bias.dims);
}

// Every block must hold at least one feature.
std::string CheckBlocks(const char* letter, const char* size_name, int64_t blocks, int64_t size) {
  if (blocks == kUnknown || size == kUnknown) return "";
  const int64_t block = CeilDiv(size, blocks);
  if ((blocks - 1) * block < size) return "";
  return std::string(letter) + " = " + std::to_string(blocks) + " blocks do not fit " + size_name + " = " +
         std::to_string(size) + ": with blocks of " + std::to_string(block) + " the last one would be empty";
}

}  // namespace

std::string ToString(const Shape& shape) { return shape.known ? ShowDims(shape.dims) : "unknown"; }

std::string CheckShapes(Structure structure, const InputShapes& shapes, Dims* dims) {
  Symbol in{"in"}, out{"out"}, b_in{"b_in"}, b_out{"b_out"}, r{"r"};
  std::string error;
  const auto match = [&error](const char* input, const Shape& shape, const std::vector<Symbol*>& pattern) {
    if (error.empty()) error = Match(input, shape, pattern);
  };
  switch (structure) {
    case Structure::kLowRank:
      match("V", shapes.v, {&r, &in});
      match("VScale", shapes.v_scale, {&r});
      match("U", shapes.u, {&out, &r});
      match("UScale", shapes.u_scale, {&out});
      b_in.value = b_out.value = 1;
      break;
    case Structure::kBlast:
      match("V", shapes.v, {&r, &in});
      match("VScale", shapes.v_scale, {&b_in, &r});
      match("S", shapes.s, {&b_out, &b_in, &r});
      match("U", shapes.u, {&out, &r});
      match("UScale", shapes.u_scale, {&out});
      break;
    case Structure::kMonarch:
      match("V", shapes.v, {&b_out, &r, &in});
      match("VScale", shapes.v_scale, {&b_out, &b_in, &r});
      match("U", shapes.u, {&out, &b_in, &r});
      match("UScale", shapes.u_scale, {&out, &b_in});
      break;
  }
  if (error.empty()) error = CheckBlocks("b_in", "in", b_in.value, in.value);
  if (error.empty()) error = CheckBlocks("b_out", "out", b_out.value, out.value);
  if (error.empty()) error = CheckX(shapes.x, in.value);
  if (error.empty() && shapes.has_bias) error = CheckBias(shapes.bias, out.value);
  *dims = {in.value, out.value, b_in.value, b_out.value, r.value};
  return error;
}

}  // namespace blockrank
