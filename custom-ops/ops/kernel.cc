#include "ops/kernel.h"

#include "ops/ort_info.h"

namespace blockrank {

std::unique_ptr<Kernel> Kernel::Create(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                                       const Variant& variant, DType x_type, const Backend& backend,
                                       std::string* error) {
  std::unique_ptr<Kernel> kernel(new Kernel(ort));
  *error = kernel->node_.Read(ort, info, variant, x_type);
  if (!error->empty()) return nullptr;
  kernel->executor_ = backend.make(ort, info, kernel->node_.declared(), error);
  if (kernel->executor_ != nullptr) return kernel;
  *error = kernel->node_.Error(*error);
  return nullptr;
}

std::string Kernel::ReadInputs(abi::OrtKernelContext* context, InputShapes* shapes, Problem* problem) const {
  std::string letters = InputLetters(node_.variant());
  if (node_.has_bias()) letters += 'B';
  shapes->has_bias = node_.has_bias();
  for (size_t i = 0; i < letters.size(); ++i) {
    const abi::OrtValue* value = nullptr;
    std::string error = TakeError(ort_, ort_.KernelContext_GetInput(context, i, &value));
    if (error.empty() && value == nullptr) error = "input " + InputName(letters[i]) + " is missing";
    void* data = nullptr;
    if (error.empty()) {
      *Slot(shapes, letters[i]) = ReadTensor(ort_, value).shape;
      error = TakeError(ort_, ort_.GetTensorMutableData(const_cast<abi::OrtValue*>(value), &data));
    }
    if (!error.empty()) return node_.Error(error);
    *Pointer(problem, letters[i]) = data;
  }
  return "";
}

std::string Kernel::Compute(abi::OrtKernelContext* context) {
  InputShapes shapes;
  Problem problem;
  std::string error = ReadInputs(context, &shapes, &problem);
  if (error.empty()) error = node_.Bind(shapes, &problem);
  if (!error.empty()) return error;

  std::vector<int64_t>& y_dims = shapes.x.dims;
  y_dims.back() = problem.dims.out;
  abi::OrtValue* y = nullptr;
  error = TakeError(ort_, ort_.KernelContext_GetOutput(context, size_t{0}, y_dims.data(), y_dims.size(), &y));
  if (error.empty()) error = TakeError(ort_, ort_.GetTensorMutableData(y, &problem.y));
  if (error.empty() && problem.tokens > 0) error = executor_->Run(problem, context);
  return error.empty() ? "" : node_.Error(error);
}

}  // namespace blockrank
