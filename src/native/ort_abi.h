// The few declarations of ONNX Runtime's C ABI that the loader needs. The API table is an array of function
// pointers whose order never changes and which only grows at its end, so an entry is named by its position.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blockrank {

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;

// The table as ONNX Runtime hands it out: entry i is a function pointer.
using ApiTable = void* const;

struct OrtCustomOpDomain;

// The first fields of OrtCustomOp.
struct OrtCustomOp {
  uint32_t version;  // of the API that the operator was built for
  void* CreateKernel;
  const char* (*GetName)(const OrtCustomOp*);
};

struct OrtApiBase {
  ApiTable* (*GetApi)(uint32_t version);  // null when the runtime is older than `version`
  const char* (*GetVersionString)();
};

using GetApiBaseFn = const OrtApiBase* (*)();
using RegisterCustomOpsFn = OrtStatus* (*)(OrtSessionOptions*, const OrtApiBase*);

constexpr uint32_t kOldestApi = 20;        // ONNX Runtime 1.20
constexpr size_t kSlotsOfOldestApi = 285;  // entries that every supported runtime has
constexpr int kOrtFail = 1;
constexpr int kOrtLogWarning = 2;

// Entries change while other threads read them: ours, and those of whoever hooks beside us.
inline void* LoadEntry(ApiTable* table, size_t position) {
  return __atomic_load_n(table + position, __ATOMIC_ACQUIRE);
}

// Position in the table and type of each function that the loader calls.
template <size_t Position, typename Fn>
struct ApiSlot {
  static constexpr size_t kPosition = Position;
  using Function = Fn;
  static Fn In(ApiTable* table) { return reinterpret_cast<Fn>(LoadEntry(table, Position)); }
};

using CreateStatus = ApiSlot<0, OrtStatus* (*)(int code, const char* message)>;
using GetErrorMessage = ApiSlot<2, const char* (*)(const OrtStatus*)>;
using CreateEnv = ApiSlot<3, OrtStatus* (*)(int log_level, const char* log_id, OrtEnv** out)>;
using CreateSessionFromArray = ApiSlot<8, OrtStatus* (*)(const OrtEnv*, const void* model, size_t bytes,
                                                         const OrtSessionOptions*, OrtSession** out)>;
using CreateSessionOptions = ApiSlot<10, OrtStatus* (*)(OrtSessionOptions** out)>;
using SetIntraOpNumThreads = ApiSlot<24, OrtStatus* (*)(OrtSessionOptions*, int threads)>;
using CustomOpDomainAdd = ApiSlot<27, OrtStatus* (*)(OrtCustomOpDomain*, const OrtCustomOp*)>;
using ReleaseEnv = ApiSlot<92, void (*)(OrtEnv*)>;
using ReleaseStatus = ApiSlot<93, void (*)(OrtStatus*)>;
using ReleaseSession = ApiSlot<95, void (*)(OrtSession*)>;
using ReleaseSessionOptions = ApiSlot<100, void (*)(OrtSessionOptions*)>;
using RegisterCustomOpsLibrary = ApiSlot<228, OrtStatus* (*)(OrtSessionOptions*, const char* path)>;

}  // namespace blockrank
