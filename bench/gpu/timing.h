// Time per call by CUDA-graph replay, and device memory that holds several copies of a layer's weights.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace blockrank::bench {

inline void CheckCuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Random bf16 in [-1, 1] · scale; defined in random.cu.
void FillRandom(void* data, int64_t elements, float scale, uint32_t seed);
void FillRandomFp8(void* data, int64_t elements, uint32_t seed);

class DeviceBuffer {
 public:
  explicit DeviceBuffer(int64_t bytes) {
    CheckCuda(cudaMalloc(&data_, std::max<int64_t>(bytes, 256)), "cudaMalloc");
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  uint8_t* data() const { return static_cast<uint8_t*>(data_); }

 private:
  void* data_ = nullptr;
};

// Copies of weights that together are several times the L2, so that each call finds its own in memory and not
// in cache.
inline int CopiesFor(int64_t weight_bytes, bool from_memory) {
  constexpr int64_t kMuchMoreThanL2 = 200'000'000;
  return from_memory ? static_cast<int>(std::clamp<int64_t>(kMuchMoreThanL2 / weight_bytes, 4, 400)) : 1;
}

// Median over `replays` of one graph's time divided by its calls; enqueue(i, stream) enqueues the call on
// copy i.
inline double MicrosecondsPerCall(int copies, const std::function<void(int, cudaStream_t)>& enqueue,
                                  int replays = 9) {
  cudaStream_t stream;
  CheckCuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  const int calls = std::max(copies, 20);
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CheckCuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "capture");
  for (int i = 0; i < calls; ++i) enqueue(i % copies, stream);
  CheckCuda(cudaStreamEndCapture(stream, &graph), "end capture");
  CheckCuda(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
  cudaEvent_t start, stop;
  CheckCuda(cudaEventCreate(&start), "event");
  CheckCuda(cudaEventCreate(&stop), "event");
  std::vector<float> times;
  for (int i = 0; i < replays + 2; ++i) {
    CheckCuda(cudaEventRecord(start, stream), "record");
    CheckCuda(cudaGraphLaunch(executable, stream), "replay");
    CheckCuda(cudaEventRecord(stop, stream), "record");
    CheckCuda(cudaEventSynchronize(stop), "replay");
    float milliseconds = 0;
    CheckCuda(cudaEventElapsedTime(&milliseconds, start, stop), "elapsed");
    if (i >= 2) times.push_back(milliseconds);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2] * 1000.0 / calls;
}

}  // namespace blockrank::bench
