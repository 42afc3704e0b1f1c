#include "core/cuda_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace blockrank {
namespace {

constexpr char kFileName[] = "libblockrank_cuda.so";
constexpr char kVariable[] = "BLOCKRANK_CUDA_LIBRARY";

std::string DefaultPath() {
  Dl_info self = {};
  if (dladdr(reinterpret_cast<const void*>(&LoadCudaLibrary), &self) == 0 || self.dli_fname == nullptr)
    return kFileName;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(self.dli_fname, nullptr), &std::free);
  const std::string path = real != nullptr ? real.get() : self.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + kFileName;
}

std::string LoaderError() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error of the dynamic loader";
}

template <class Function>
bool Find(void* handle, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(handle, name));
  return *function != nullptr;
}

std::string CheckVersion(void* handle) {
  decltype(&blockrank_cuda_abi_version) version = nullptr;
  if (!Find(handle, "blockrank_cuda_abi_version", &version))
    return "it is not blockrank's: it has no blockrank_cuda_abi_version";
  if (version() == BLOCKRANK_CUDA_ABI_VERSION) return "";
  return "expected version " + std::to_string(BLOCKRANK_CUDA_ABI_VERSION) +
         " of its interface, found version " + std::to_string(version()) +
         "; build libblockrank.so and libblockrank_cuda.so together";
}

std::string Bind(void* handle, CudaLibrary* library) {
  const bool found = Find(handle, "blockrank_cuda_check_device", &library->check_device) &&
                     Find(handle, "blockrank_cuda_plan_create", &library->plan_create) &&
                     Find(handle, "blockrank_cuda_plan_destroy", &library->plan_destroy) &&
                     Find(handle, "blockrank_cuda_workspace_size", &library->workspace_size) &&
                     Find(handle, "blockrank_cuda_launch", &library->launch);
  return found ? "" : LoaderError();
}

CudaLibrary Open() {
  CudaLibrary library;
  const char* named = std::getenv(kVariable);
  library.path = named != nullptr && *named != '\0' ? named : DefaultPath();
  if (access(library.path.c_str(), F_OK) != 0) {
    library.error = "there is no " + library.path;
    return library;
  }
  void* handle = dlopen(library.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    library.error = "it does not load: " + LoaderError();
    return library;
  }
  library.error = CheckVersion(handle);
  if (library.error.empty()) library.error = Bind(handle, &library);
  if (!library.error.empty()) {
    library.error = library.path + ": " + library.error;
    dlclose(handle);
  }
  return library;
}

}  // namespace

const CudaLibrary& LoadCudaLibrary() {
  // Never destroyed: kernels may be released while the process ends.
  static const CudaLibrary& library = *new CudaLibrary(Open());
  return library;
}

}  // namespace blockrank
