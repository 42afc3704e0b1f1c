#include "trial.h"

#include <algorithm>
#include <array>
#include <memory>

namespace blockrank {
namespace {

// The smallest model that every supported runtime accepts: y = Identity(x), float[1], opset 13, IR 8
// (protobuf wire format).
constexpr unsigned char kIdentityModel[] = {
    0x08, 0x08, 0x42, 0x02, 0x10, 0x0d, 0x3a, 0x37,  // versions, graph
    0x0a, 0x10, 0x0a, 0x01, 'x',  0x12, 0x01, 'y',  0x22,
    0x08, 'I',  'd',  'e',  'n',  't',  'i',  't',  'y',  // node
    0x12, 0x01, 'g',                                      // graph name
    0x5a, 0x0f, 0x0a, 0x01, 'x',  0x12, 0x0a, 0x0a, 0x08,
    0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0x08, 0x01,  // input
    0x62, 0x0f, 0x0a, 0x01, 'y',  0x12, 0x0a, 0x0a, 0x08,
    0x08, 0x01, 0x12, 0x04, 0x0a, 0x02, 0x08, 0x01,  // output
};

// A library that asks for a newer API than there is gets null, and the official C++ wrapper dereferences it.
// So during the trial it is handed a stand-in: the entries that every runtime has, then functions that only
// report a failure. What it registers through the stand-in is thrown away; all that matters is the version
// that it asked for. A library that would have tried an older version next is refused too: it cannot be told
// from one that would have crashed.
constexpr size_t kStandInSlots = 1024;

struct Probe {
  const Runtime* runtime = nullptr;
  uint32_t missing_version = 0;  // a version that was asked for and that the runtime does not offer
  std::array<void*, kStandInSlots> stand_in{};
};

Probe& TheProbe() {
  static Probe probe;
  return probe;
}

OrtStatus* NotInThisRuntime() {
  ApiTable* table = TheProbe().stand_in.data();
  return CreateStatus::In(table)(kOrtFail, "this ONNX Runtime is older than the API that was asked for");
}

ApiTable* ProbeGetApi(uint32_t version) {
  Probe& probe = TheProbe();
  if (version <= probe.runtime->api) return probe.runtime->base->GetApi(version);
  probe.missing_version = version;
  return probe.stand_in.data();
}

const char* ProbeGetVersionString() { return TheProbe().runtime->version.c_str(); }

constexpr OrtApiBase kProbeBase = {ProbeGetApi, ProbeGetVersionString};

void PrepareProbe(const Runtime& runtime) {
  // Libraries may keep the base that they were given, so what it refers to lives on.
  static auto& kept = *new std::vector<std::unique_ptr<Runtime>>;
  auto known = std::find_if(kept.begin(), kept.end(), [&](auto& r) { return r->table == runtime.table; });
  if (known == kept.end()) known = kept.insert(known, std::make_unique<Runtime>(runtime));
  Probe& probe = TheProbe();
  probe.runtime = known->get();
  probe.missing_version = 0;
  auto rest = std::copy_n(runtime.table, kSlotsOfOldestApi, probe.stand_in.begin());
  std::fill(rest, probe.stand_in.end(), reinterpret_cast<void*>(NotInThisRuntime));
}

// Calls the library's entry point; an exception that escapes it is a failure like any other.
std::optional<std::string> CallEntry(RegisterCustomOpsFn entry, OrtSessionOptions* options, ApiTable* table) {
  try {
    OrtStatus* status = entry(options, &kProbeBase);
    if (status) return TakeMessage(table, status);
    return std::nullopt;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

// An Env is shared by the whole process and counted; with onnxruntime-node's own settings it does not matter
// who was first.
std::optional<std::string> CreateOneSession(ApiTable* table, const OrtSessionOptions* options) {
  OrtEnv* raw_env = nullptr;
  if (OrtStatus* status = CreateEnv::In(table)(kOrtLogWarning, "onnxruntime-node", &raw_env)) {
    return TakeMessage(table, status);
  }
  Owned<OrtEnv> env(raw_env, ReleaseEnv::In(table));
  OrtSession* session = nullptr;
  if (OrtStatus* status = CreateSessionFromArray::In(table)(env.get(), kIdentityModel, sizeof kIdentityModel,
                                                            options, &session)) {
    return TakeMessage(table, status);
  }
  ReleaseSession::In(table)(session);
  return std::nullopt;
}

std::optional<Problem> TryEntry(const Runtime& runtime, RegisterCustomOpsFn entry,
                                OrtSessionOptions* options) {
  PrepareProbe(runtime);
  const std::optional<std::string> refusal = CallEntry(entry, options, runtime.table);
  if (const uint32_t wanted = TheProbe().missing_version) {
    return Problem{kLibraryIncompatible, "it was built for version " + std::to_string(wanted) +
                                             " of ONNX Runtime's API (ONNX Runtime 1." +
                                             std::to_string(wanted) + "), but ONNX Runtime " +
                                             runtime.version + " is loaded"};
  }
  if (refusal) return Problem{kLibraryIncompatible, "its RegisterCustomOps failed: " + *refusal};
  if (const auto failure = CreateOneSession(runtime.table, options)) {
    return Problem{kLibraryIncompatible, "no session can be created with it: " + *failure};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> TryLibrary(const Runtime& runtime, CreateSessionOptionsFn create_options,
                                  const std::vector<std::string>& before, const std::string& library) {
  ApiTable* table = runtime.table;
  OrtSessionOptions* raw_options = nullptr;
  if (OrtStatus* status = create_options(&raw_options))
    return Problem{kHookFailed, TakeMessage(table, status)};
  // Declared before the options, hence unloaded after them: they may hold objects of the library.
  SharedLibrary opened(library);
  Owned<OrtSessionOptions> options(raw_options, ReleaseSessionOptions::In(table));
  if (!opened.error().empty()) return Problem{kLibraryIncompatible, "it cannot be loaded: " + opened.error()};
  const auto entry = reinterpret_cast<RegisterCustomOpsFn>(opened.Symbol("RegisterCustomOps"));
  if (!entry) return Problem{kLibraryInvalid, "it exports no function RegisterCustomOps"};

  if (OrtStatus* status = SetIntraOpNumThreads::In(table)(options.get(), 1)) {
    return Problem{kHookFailed, TakeMessage(table, status)};
  }
  for (const std::string& path : before) {
    if (OrtStatus* status = RegisterCustomOpsLibrary::In(table)(options.get(), path.c_str())) {
      return Problem{kHookFailed, TakeMessage(table, status)};
    }
  }
  std::optional<Problem> problem = TryEntry(runtime, entry, options.get());
  if (!problem) opened.Keep();
  return problem;
}

}  // namespace blockrank
