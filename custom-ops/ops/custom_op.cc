#include "ops/custom_op.h"

#include <cstring>
#include <exception>

#include "ops/kernel.h"
#include "ops/shape_inference.h"

namespace blockrank {
namespace {

// The lowest that has all we use: ParallelFor and shape inference. Older runtimes refuse ops stamped newer
// than they are.
constexpr uint32_t kApiVersion = 17;

const CustomOp& Self(const abi::OrtCustomOp* op) { return *static_cast<const CustomOp*>(op); }

size_t FactorCount(const CustomOp& op) { return std::strlen(InputLetters(op.variant)) - 1; }

// Runs `body`, which returns an error text; nothing that is thrown leaves it.
template <class Body>
abi::OrtStatus* Guard(const abi::Functions& ort, Body&& body) {
  try {
    const std::string error = body();
    return error.empty() ? nullptr : ort.CreateStatus(abi::kInvalidArgument, error.c_str());
  } catch (const std::exception& e) {
    return ort.CreateStatus(abi::kRuntimeException, e.what());
  } catch (...) {
    return ort.CreateStatus(abi::kRuntimeException, "blockrank: unknown exception");
  }
}

abi::OrtStatus* CreateKernel(const abi::OrtCustomOp* op, const abi::OrtApi*, const abi::OrtKernelInfo* info,
                             void** kernel) {
  const CustomOp& self = Self(op);
  return Guard(self.ort, [&] {
    std::string error;
    *kernel = Kernel::Create(self.ort, info, self.variant, self.x_type, self.backend, &error).release();
    return error;
  });
}

abi::OrtStatus* ComputeKernel(void* kernel, abi::OrtKernelContext* context) {
  Kernel* self = static_cast<Kernel*>(kernel);
  return Guard(self->ort(), [&] { return self->Compute(context); });
}

// ONNX Runtime drops (and leaks) a status returned from here, so a mismatch is left to CreateKernel, which
// has the node's name.
abi::OrtStatus* InferShape(const abi::OrtCustomOp* op, abi::OrtShapeInferContext* context) {
  try {
    const char* letters = InputLetters(Self(op).variant);
    InferOutputShape(Self(op).ort, context, static_cast<size_t>(std::strchr(letters, 'U') - letters));
  } catch (...) {
    // Without memory for a few dimensions the shape stays unknown.
  }
  return nullptr;
}

// X and Y have the registration's type. Factors and B are left open, although only some types work: a type
// that no registration accepts makes ONNX Runtime say that no kernel was found; left open, our own check
// names the input and both types. Y's type must be stated: it can be inferred from an open input only where
// that is the only one.
abi::ElementType XType(const abi::OrtCustomOp* op) {
  const DType type = Self(op).x_type;
  return type == DType::kFloat32 ? abi::kFloat : type == DType::kFloat16 ? abi::kFloat16 : abi::kBFloat16;
}

void FillSignature(abi::OrtCustomOp* op) {
  op->GetName = [](const abi::OrtCustomOp* self) { return Self(self).variant.name.c_str(); };
  op->GetExecutionProviderType = [](const abi::OrtCustomOp* self) { return Self(self).backend.provider; };
  op->GetInputTypeCount = [](const abi::OrtCustomOp* self) { return FactorCount(Self(self)) + 2; };
  op->GetInputType = [](const abi::OrtCustomOp* self, size_t index) {
    return index == 0 ? XType(self) : abi::kUndefined;
  };
  op->GetInputCharacteristic = [](const abi::OrtCustomOp* self, size_t index) {
    // B is absent by being left off: runtimes up to 1.23 crash before they call us where it is named ''.
    return index > FactorCount(Self(self)) ? abi::kOptional : abi::kRequired;
  };
  op->GetInputMemoryType = [](const abi::OrtCustomOp*, size_t) { return abi::kMemDefault; };
  op->GetOutputTypeCount = [](const abi::OrtCustomOp*) { return size_t{1}; };
  op->GetOutputType = [](const abi::OrtCustomOp* self, size_t) { return XType(self); };
  op->GetOutputCharacteristic = [](const abi::OrtCustomOp*, size_t) { return abi::kRequired; };
  op->GetVariadicInputMinArity = [](const abi::OrtCustomOp*) { return 0; };
  op->GetVariadicInputHomogeneity = [](const abi::OrtCustomOp*) { return 0; };
  op->GetVariadicOutputMinArity = [](const abi::OrtCustomOp*) { return 0; };
  op->GetVariadicOutputHomogeneity = [](const abi::OrtCustomOp*) { return 0; };
  op->GetStartVersion = [](const abi::OrtCustomOp*) { return 1; };
}

}  // namespace

CustomOp::CustomOp(const abi::Functions& functions, const Variant& op_variant, DType type,
                   const Backend& op_backend)
    : abi::OrtCustomOp{}, ort(functions), variant(op_variant), x_type(type), backend(op_backend) {
  version = kApiVersion;
  FillSignature(this);
  CreateKernelV2 = blockrank::CreateKernel;
  KernelComputeV2 = ComputeKernel;
  KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  InferOutputShapeFn = InferShape;
}

}  // namespace blockrank
