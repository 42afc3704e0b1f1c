// What the loader needs from the operating system. Each platform implements this header in one file,
// platform_<name>.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ort_abi.h"

namespace blockrank {

// A libonnxruntime that this process has loaded.
struct RuntimeImage {
  std::string path;
  GetApiBaseFn get_api_base;
  std::vector<std::string> bindings;  // paths of the onnxruntime_binding.node files that are linked to it
};

// Every loaded image that exports OrtGetApiBase, whoever loaded it and however its file is named.
std::vector<RuntimeImage> FindRuntimes();

// True when both addresses lie in the same loaded image.
bool InSameImage(const void* a, const void* b);

// True when `address` lies in some loaded image.
bool InAnyImage(const void* address);

// Keeps the image that holds `address` mapped until the process ends, whoever closes it.
void PinImage(const void* address);

// Stores `value` at `slot` in one atomic write, although the page may be read-only; its protection is as
// before afterwards. Returns the reason when that is not possible.
std::optional<std::string> WritePointer(void* const* slot, void* value);

// An opened shared library, closed at the end of its scope unless kept.
class SharedLibrary {
 public:
  explicit SharedLibrary(const std::string& path);
  ~SharedLibrary();
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  // Empty when the library was opened; the loader's own words otherwise.
  const std::string& error() const { return error_; }
  void* Symbol(const char* name) const;
  // Leaves the library open for the life of the process.
  void Keep() { kept_ = true; }

 private:
  void* handle_;
  bool kept_ = false;
  std::string error_;
};

}  // namespace blockrank
