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
    case abi::kInt8:
      return NameOf(DType::kInt8);
    default:
      return "ONNX element type " + std::to_string(static_cast<int>(type));
  }
}

bool ToDType(abi::ElementType type, DType* result) {
  if (type == abi::kFloat) *result = DType::kFloat32;
  if (type == abi::kFloat16) *result = DType::kFloat16;
  if (type == abi::kBFloat16) *result = DType::kBFloat16;
  if (type == abi::kInt8) *result = DType::kInt8;
  return type == abi::kFloat || type == abi::kFloat16 || type == abi::kBFloat16 || type == abi::kInt8;
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
    case 'v':
      return &shapes->v_scale;
    case 'S':
      return &shapes->s;
    case 'U':
      return &shapes->u;
    case 'u':
      return &shapes->u_scale;
    default:
      return &shapes->bias;
  }
}

const void** Pointer(Problem* problem, char letter) {
  switch (letter) {
    case 'X':
      return &problem->x;
    case 'V':
      return &problem->v;
    case 'v':
      return &problem->v_scale;
    case 'S':
      return &problem->s;
    case 'U':
      return &problem->u;
    case 'u':
      return &problem->u_scale;
    default:
      return &problem->bias;
  }
}

bool BindConstantFactors(const abi::Functions& ort, const abi::OrtKernelInfo* info, Problem* problem) {
  const std::string letters = InputLetters(problem->structure, problem->factor_type == DType::kInt8);
  for (size_t i = 1; i < letters.size(); ++i) {
    int constant = 0;
    const abi::OrtValue* value = nullptr;
    void* data = nullptr;
    if (!TakeError(ort, ort.KernelInfoGetConstantInput_tensor(info, i, &constant, &value)).empty() ||
        !constant ||
        !TakeError(ort, ort.GetTensorMutableData(const_cast<abi::OrtValue*>(value), &data)).empty())
      return false;
    *Pointer(problem, letters[i]) = data;
  }
  return true;
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
  std::string error = ReadActivation(ort, info);
  if (error.empty()) error = ReadOrder(ort, info);
  return error.empty() ? ReadCompute(ort, info) : error;
}

std::string Node::ReadActivation(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
  const Activation implied = variant_->activation.value_or(Activation::kNone);
  const std::string activation = StringAttribute(ort, info, "activation", ActivationText(implied));
  std::string allowed;
  for (const ActivationName& name : ActivationNames()) {
    if (variant_->activation.value_or(name.value) != name.value) continue;
    activation_ = name.value;
    if (activation == name.text) return "";
    allowed += (allowed.empty() ? "" : ", ") + Quoted(name.text);
  }
  return AttributeError("activation",
                        (variant_->activation ? "" : "one of ") + allowed +
                            (variant_->activation ? " (the operator's name implies it)" : ""),
                        activation);
}

std::string Node::ReadOrder(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
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

std::string Node::ReadCompute(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
  const Compute narrow = variant_->quantized ? Compute::kInt8 : Compute::kBFloat16;
  const std::string compute = StringAttribute(ort, info, "compute", ComputeText(Compute::kFloat));
  if (compute == ComputeText(Compute::kFloat)) return "";
  compute_ = narrow;
  if (compute == ComputeText(narrow)) return "";
  return AttributeError("compute", "'float' or " + Quoted(ComputeText(narrow)), compute);
}

// V decides what U must be, the first of S and the scales what the others must be.
std::string Node::ReadType(char letter, abi::ElementType found) {
  const bool quantized = variant_->quantized;
  DType type = DType::kFloat32;
  const bool known = ToDType(found, &type);
  const auto wrong = [&](const std::string& expected) {
    return "input " + InputName(letter) + ": expected " + expected + ", found " + TypeName(found);
  };
  const std::string of_v = std::string(NameOf(factor_type_)) + " (V's type)";
  switch (letter) {
    case 'X':
      return "";
    case 'V':
      if (quantized ? found != abi::kInt8 : !known || type == DType::kInt8)
        return wrong(quantized ? "int8" : "float32, float16 or bfloat16");
      factor_type_ = scale_type_ = type;
      return "";
    case 'U':
      return known && type == factor_type_ ? "" : wrong(of_v);
    case 'v':
      if (found != abi::kFloat && found != abi::kFloat16) return wrong("float32 or float16");
      scale_type_ = type;
      return "";
    case 'S':
    case 'u':
      if (known && type == scale_type_) return "";
      return wrong(quantized ? std::string(NameOf(scale_type_)) + " (VScale's type)" : of_v);
    default:
      return known && type == x_type_ ? "" : wrong(std::string(NameOf(x_type_)) + " (X's type)");
  }
}

std::string Node::ReadInputs(const abi::Functions& ort, const abi::OrtKernelInfo* info) {
  const std::string letters = InputLetters(*variant_);
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
    const std::string error = ReadType(letter, input.type);
    if (!error.empty()) return error;
  }
  return Describe(shapes, &declared_);
}

std::string Node::Describe(const InputShapes& shapes, Problem* problem) const {
  problem->structure = variant_->structure;
  problem->order = order_;
  problem->activation = activation_;
  problem->x_type = x_type_;
  problem->factor_type = factor_type_;
  problem->scale_type = scale_type_;
  problem->compute = compute_;
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
