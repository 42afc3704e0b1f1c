// Y [tokens, out] = X [tokens, in] · W [out, in]ᵀ by cuBLASLt, the fastest of its eight best guesses,
// measured.
#pragma once

#include "timing.h"

namespace blockrank::bench {

inline void CheckBlas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string(what) + ": " + cublasLtGetStatusString(status));
}

class LibraryGemm {
 public:
  static constexpr size_t kWorkspaceBytes = 64 << 20;

  LibraryGemm(cublasLtHandle_t handle, int64_t in, int64_t out, int64_t tokens, cudaDataType_t input_type,
              void* workspace, cudaDataType_t output_type = CUDA_R_16BF,
              cublasComputeType_t compute = CUBLAS_COMPUTE_32F)
      : handle_(handle), workspace_(workspace) {
    CheckBlas(cublasLtMatmulDescCreate(&operation_, compute, CUDA_R_32F), "descriptor");
    const cublasOperation_t transpose = CUBLAS_OP_T;
    CheckBlas(
        cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose),
        "transpose");
    CheckBlas(cublasLtMatrixLayoutCreate(&w_, input_type, in, out, in), "layout");
    CheckBlas(cublasLtMatrixLayoutCreate(&x_, input_type, in, tokens, in), "layout");
    CheckBlas(cublasLtMatrixLayoutCreate(&y_, output_type, out, tokens, out), "layout");
    cublasLtMatmulPreference_t preference;
    CheckBlas(cublasLtMatmulPreferenceCreate(&preference), "preference");
    CheckBlas(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                   &kWorkspaceBytes, sizeof kWorkspaceBytes),
              "preference");
    cublasLtMatmulHeuristicResult_t results[8];
    int found = 0;
    cublasLtMatmulAlgoGetHeuristic(handle_, operation_, w_, x_, y_, y_, preference, 8, results, &found);
    for (int i = 0; i < found; ++i) algorithms_.push_back(results[i].algo);
    cublasLtMatmulPreferenceDestroy(preference);
  }
  ~LibraryGemm() {
    cublasLtMatrixLayoutDestroy(w_);
    cublasLtMatrixLayoutDestroy(x_);
    cublasLtMatrixLayoutDestroy(y_);
    cublasLtMatmulDescDestroy(operation_);
  }
  LibraryGemm(const LibraryGemm&) = delete;
  LibraryGemm& operator=(const LibraryGemm&) = delete;

  bool available() const { return !algorithms_.empty(); }

  void Enqueue(const void* x, const void* w, void* y, cudaStream_t stream) const {
    const float one = 1, zero = 0;
    CheckBlas(cublasLtMatmul(handle_, operation_, &one, w, w_, x, x_, &zero, y, y_, y, y_,
                             &algorithms_[best_], workspace_, kWorkspaceBytes, stream),
              "matmul");
  }

  // Keeps the fastest algorithm; w(i) is copy i of the weight.
  void Tune(int copies, const void* x, const std::function<const void*(int)>& w, void* y) {
    double fastest = 1e30;
    int winner = 0;
    for (size_t i = 0; i < algorithms_.size(); ++i) {
      best_ = static_cast<int>(i);
      const double us = MicrosecondsPerCall(
          copies, [&](int c, cudaStream_t s) { Enqueue(x, w(c), y, s); }, 3);
      if (us < fastest) {
        fastest = us;
        winner = best_;
      }
    }
    best_ = winner;
  }

 private:
  cublasLtHandle_t handle_;
  void* workspace_;
  cublasLtMatmulDesc_t operation_;
  cublasLtMatrixLayout_t w_, x_, y_;
  std::vector<cublasLtMatmulAlgo_t> algorithms_;
  int best_ = 0;
};

}  // namespace blockrank::bench
