#include "cuda_driver.h"

#include "platform.h"

namespace blockrank {
namespace {

using Result = int;  // CUresult: 0 is success
using Device = int;  // CUdevice

template <typename Fn>
Fn Find(const SharedLibrary& driver, const char* name) {
  return reinterpret_cast<Fn>(driver.Symbol(name));
}

std::string Failure(const SharedLibrary& driver, const char* call, Result result) {
  const char* name = nullptr;
  if (const auto get_name = Find<Result (*)(Result, const char**)>(driver, "cuGetErrorName"))
    get_name(result, &name);
  return std::string(call) + " failed: " + (name ? name : "error " + std::to_string(result));
}

}  // namespace

CudaDriver AskCudaDriver() {
  CudaDriver answer;
  SharedLibrary driver("libcuda.so.1");
  if (!driver.error().empty()) return {driver.error(), 0, {}};
  driver.Keep();  // the driver starts threads of its own once it is initialized

  const auto init = Find<Result (*)(unsigned)>(driver, "cuInit");
  const auto get_version = Find<Result (*)(int*)>(driver, "cuDriverGetVersion");
  const auto get_count = Find<Result (*)(int*)>(driver, "cuDeviceGetCount");
  const auto get_name = Find<Result (*)(char*, int, Device)>(driver, "cuDeviceGetName");
  if (!init || !get_version || !get_count || !get_name)
    return {"libcuda.so.1 lacks the driver's functions", 0, {}};

  if (const Result result = init(0)) return {Failure(driver, "cuInit", result), 0, {}};
  get_version(&answer.version);
  int count = 0;
  if (const Result result = get_count(&count))
    return {Failure(driver, "cuDeviceGetCount", result), answer.version, {}};
  for (Device device = 0; device < count; ++device) {
    char name[256] = "unknown device";
    get_name(name, sizeof name, device);
    answer.devices.emplace_back(name);
  }
  return answer;
}

}  // namespace blockrank
