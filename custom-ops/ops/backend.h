// The seam between the operators and the processors that run them: one Backend per execution provider.
#pragma once

#include <memory>
#include <string>

#include "abi/functions.h"
#include "core/params.h"

namespace blockrank {

/// Runs problems of one node; its pointers are in the provider's memory.
class Executor {
 public:
  virtual ~Executor() = default;
  /// Returns "" or what went wrong.
  virtual std::string Run(const Problem& problem, abi::OrtKernelContext* context) = 0;
};

struct Backend {
  const char* provider;  // null: the CPU's
  bool takes_bfloat16;   // as X's type, beside float32 and float16
  bool takes_int8;       // factors: the operators of names with a Q
  /// `declared` has neither pointers nor tokens, and −1 for sizes that the graph leaves open. Null with
  /// *error set when it cannot be made.
  std::unique_ptr<Executor> (*make)(const abi::Functions& ort, const abi::OrtKernelInfo* info,
                                    const Problem& declared, std::string* error);
};

const Backend& CpuBackend();
/// Null where libblockrank_cuda.so cannot be used; LoadCudaLibrary().error says why.
const Backend* CudaBackend();

}  // namespace blockrank
