#include "ops/node.h"

#include "ops/ort_info.h"

namespace blockrank {
namespace {

std::string TypeName(abi::ElementType type) {
  switch (type) {
    case abi::kFloat:
      return NameOf(DType::kFloat32);
    case abi::kFloat16:
      return NameOf(DType::kFloat16);
    case abi::kBFloat16:
      return NameOf(DType::kBFloat16);
    default:
      return "ONNX element type " + std::to_string(static_cast<int>(type));
  }
}

bool ToDType(abi::ElementType type, DType* result) {
  if (type == abi::kFloat) *result = DType::kFloat32;
  if (type == abi::kFloat16) *result = DType::kFloat16;
  if (type == abi::kBFloat16) *result = DType::kBFloat16;
  return type == abi::kFloat || type == abi::kFloat16 || type == abi::kBFloat16;
}

std::string Quoted(const std::string& text) { return "'" + text + "'"; }

const char* OrderName(OutputOrder order) {
  return order == OutputOrder::kInterleaved ? "interleaved" : "contiguous";
}

const char* ActivationText(Activation value) { return ActivationNames()[static_cast<size_t>(value)].text; }

std::string AttributeError(const char* name, const std::string& expected, const std::string& found) {
  return std::string("attribute ") + name + ": expected " + expected + ", found " + Quoted(found);
}

}  // namespace

Shape* Slot(InputShapes* shapes, char letter) {
  switch (letter) {
    case 'X':
      return &shapes->x;
    case 'V':
      return &shapes->v;
    case 'S':
      return &shapes->s;
    case 'U':
      return &shapes->u;
    default:
      return &shapes->bias;
  }
}

std::string Node::Error(const std::string& text) const {
  return "blockrank: node " + Quoted(name_) + " (" + variant_->name + "): " + text;
}

std::string Node::Read(const abi::Functions& ort, const abi::OrtKernelInfo* info, const Variant& variant,
                       DType x_type) {
  variant_ = &variant;
  x_type_ = x_type;
  name_ = NodeName(ort, info);
  std::string error = ReadAttributes(ort, info);
  if (error.empty()) error = ReadInputs(ort, info);
  return error.empty() ? "" : Error(error);
}

std::string Node::ReadAttributes(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
  const Activation implied = variant_->activation.value_or(Activation::kNone);
  const std::string activation = StringAttribute(ort, info, "activation", ActivationText(implied));
  std::string allowed;
  bool known = false;
  for (const ActivationName& name : ActivationNames()) {
    if (variant_->activation.value_or(name.value) != name.value) continue;
    allowed += (allowed.empty() ? "" : ", ") + Quoted(name.text);
    if (activation != name.text) continue;
    activation_ = name.value;
    known = true;
  }
  if (!known) {
    return AttributeError("activation",
                          (variant_->activation ? "" : "one of ") + allowed +
                              (variant_->activation ? " (the operator's name implies it)" : ""),
                          activation);
  }

  if (variant_->structure != Structure::kMonarch) return "";
  const std::string order = StringAttribute(ort, info, "output_order",
                                            OrderName(variant_->order.value_or(OutputOrder::kContiguous)));
  order_ =
      order == OrderName(OutputOrder::kInterleaved) ? OutputOrder::kInterleaved : OutputOrder::kContiguous;
  if (order != OrderName(order_))
    return AttributeError("output_order", "'contiguous' or 'interleaved'", order);
  if (variant_->order.value_or(order_) != order_)
    return AttributeError("output_order", "'interleaved' (the operator's name implies it)", order);
  return "";
}

std::string Node::ReadInputs(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
  const std::string letters = InputLetters(variant_->structure);
  const size_t count = CountInputs(ort, info);
  if (count < letters.size()) {
    return "expected " + std::to_string(letters.size()) + " inputs and an optional B, found " +
           std::to_string(count);
  }
  has_bias_ = count > letters.size();

  InputShapes shapes;
  shapes.has_bias = has_bias_;
  for (size_t i = 0; i < count; ++i) {
    const char letter = i < letters.size() ? letters[i] : 'B';
    const TensorInfo input = DeclaredInput(ort, info, i);
    *Slot(&shapes, letter) = input.shape;
    DType type;
    const bool known = ToDType(input.type, &type);
    const std::string found = ", found " + TypeName(input.type);
    const std::string where = std::string("input ") + letter + ": expected ";
    if (letter == 'V') {
      if (!known) return where + "float32, float16 or bfloat16" + found;
      factor_type_ = type;
    } else if (letter == 'B') {
      if (!known || type != x_type_) return where + NameOf(x_type_) + " (X's type)" + found;
    } else if (letter != 'X' && (!known || type != factor_type_)) {
      return where + NameOf(factor_type_) + " (V's type)" + found;
    }
  }
  return Describe(shapes, &declared_);
}

std::string Node::Describe(const InputShapes& shapes, Problem* problem) const {
  problem->structure = variant_->structure;
  problem->order = order_;
  problem->activation = activation_;
  problem->x_type = x_type_;
  problem->factor_type = factor_type_;
  problem->bias_size = !has_bias_ ? 0 : shapes.bias.dims.size() == 1 ? shapes.bias.dims[0] : -1;
  return CheckShapes(variant_->structure, shapes, &problem->dims);
}

std::string Node::Bind(const InputShapes& shapes, Problem* problem) const {
  const std::string error = Describe(shapes, problem);
  if (!error.empty()) return Error(error);
  problem->tokens = 1;
  for (size_t i = 0; i + 1 < shapes.x.dims.size(); ++i) problem->tokens *= shapes.x.dims[i];
  return "";
}

}  // namespace blockrank
