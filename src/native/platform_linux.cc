// platform.h for Linux with glibc: dl_iterate_phdr, dladdr, mprotect.
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "platform.h"

namespace blockrank {
namespace {

constexpr char kBindingName[] = "/onnxruntime_binding.node";

std::vector<std::string> LoadedImages() {
  std::vector<std::string> paths;
  // The callback runs under the dynamic loader's lock, so it only collects names.
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        if (info->dlpi_name && *info->dlpi_name) {
          static_cast<std::vector<std::string>*>(out)->emplace_back(info->dlpi_name);
        }
        return 0;
      },
      &paths);
  return paths;
}

bool IsBinding(const std::string& path) {
  const size_t length = sizeof(kBindingName) - 1;
  return path.size() >= length && path.compare(path.size() - length, length, kBindingName) == 0;
}

const void* ImageBase(const void* address) {
  Dl_info info;
  return address && dladdr(address, &info) ? info.dli_fbase : nullptr;
}

// PROT_* of the page at `address`; PROT_READ where the kernel does not tell.
int ProtectionOf(const void* address) {
  FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return PROT_READ;
  const uintptr_t wanted = reinterpret_cast<uintptr_t>(address);
  int protection = PROT_READ;
  char line[4096];
  while (std::fgets(line, sizeof line, maps)) {
    unsigned long begin, end;
    char mode[5];
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, mode) != 3 || wanted < begin || wanted >= end)
      continue;
    protection = (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) |
                 (mode[2] == 'x' ? PROT_EXEC : 0);
    break;
  }
  std::fclose(maps);
  return protection;
}

}  // namespace

std::vector<RuntimeImage> FindRuntimes() {
  std::vector<RuntimeImage> runtimes;
  for (const std::string& path : LoadedImages()) {
    void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) continue;
    // dlsym also looks at what the image is linked to, so a binding leads to the very runtime that it calls.
    void* symbol = dlsym(handle, "OrtGetApiBase");
    Dl_info owner;
    if (symbol && dladdr(symbol, &owner) && owner.dli_fname) {
      const auto get_api_base = reinterpret_cast<GetApiBaseFn>(symbol);
      auto found = std::find_if(runtimes.begin(), runtimes.end(),
                                [&](const RuntimeImage& r) { return r.get_api_base == get_api_base; });
      if (found == runtimes.end()) found = runtimes.insert(found, {owner.dli_fname, get_api_base, {}});
      if (IsBinding(path)) found->bindings.push_back(path);
    }
    dlclose(handle);
  }
  return runtimes;
}

bool InSameImage(const void* a, const void* b) {
  const void* base = ImageBase(a);
  return base && base == ImageBase(b);
}

bool InAnyImage(const void* address) { return ImageBase(address) != nullptr; }

void PinImage(const void* address) {
  Dl_info info;
  if (!dladdr(address, &info) || !info.dli_fname) return;
  if (void* handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)) dlclose(handle);
}

std::optional<std::string> WritePointer(void* const* slot, void* value) {
  // Slots share pages: one thread's end of a write must not take the page from another's.
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  const uintptr_t page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) & ~(page_size - 1));
  const int protection = ProtectionOf(slot);
  const bool writable = protection & PROT_WRITE;
  if (!writable && mprotect(page, page_size, protection | PROT_WRITE) != 0) {
    return std::string("mprotect: ") + std::strerror(errno);
  }
  __atomic_store_n(const_cast<void**>(slot), value, __ATOMIC_RELEASE);
  if (!writable) mprotect(page, page_size, protection);
  return std::nullopt;
}

SharedLibrary::SharedLibrary(const std::string& path) : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_) return;
  const char* reason = dlerror();
  error_ = reason ? reason : "unknown error";
}

SharedLibrary::~SharedLibrary() {
  if (handle_ && !kept_) dlclose(handle_);
}

void* SharedLibrary::Symbol(const char* name) const { return handle_ ? dlsym(handle_, name) : nullptr; }

}  // namespace blockrank
