#include "hook.h"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <utility>

#include "trial.h"

namespace blockrank {
namespace {

using Libraries = std::vector<std::string>;

// One hooked table. Never removed: a thread may be inside its function at any time.
struct Hook {
  Runtime runtime;
  CreateSessionOptionsFn original = nullptr;  // what stood in the table before us
  bool installed = false;  // we are in the table, or in the chain of someone who hooked after us
  Libraries libraries;
};

// Not destroyed at exit either, when other threads may still create sessions.
auto& g_hooks = *new std::array<Hook, kMaxRuntimes>;
size_t g_hook_count = 0;

std::mutex g_state_mutex;         // guards g_hooks and g_choosers; held for moments only
std::mutex g_registration_mutex;  // one registration at a time; held while foreign code runs

size_t g_choosers = 0;  // threads with a choice of their own, for which the hooks stay

void RemoveIdleHooks();

// What this thread's sessions have of one library, whatever is registered. Ends with the thread at the
// latest.
class Choice {
 public:
  ~Choice() { End(); }

  void Begin(const std::string& library, bool wanted) {
    std::lock_guard lock(g_state_mutex);
    if (library_.empty()) ++g_choosers;
    library_ = library;
    wanted_ = wanted;
  }

  void End() {
    std::lock_guard lock(g_state_mutex);
    if (library_.empty()) return;
    library_.clear();
    if (--g_choosers == 0) RemoveIdleHooks();
  }

  void Apply(Libraries* libraries) const {
    if (library_.empty()) return;
    const auto found = std::find(libraries->begin(), libraries->end(), library_);
    if (wanted_ && found == libraries->end()) libraries->push_back(library_);
    if (!wanted_ && found != libraries->end()) libraries->erase(found);
  }

 private:
  std::string library_;  // empty: no choice
  bool wanted_ = false;
};

thread_local Choice t_choice;

OrtStatus* RegisterWith(ApiTable* table, OrtSessionOptions* options, const std::string& library) {
  OrtStatus* status = RegisterCustomOpsLibrary::In(table)(options, library.c_str());
  if (!status) return nullptr;
  const std::string message =
      "blockrank: the custom-op library " + library +
      ", which is registered, failed to add its operators: " + TakeMessage(table, status);
  return CreateStatus::In(table)(kOrtFail, message.c_str());
}

OrtStatus* CreateHookedOptions(size_t index, OrtSessionOptions** out) {
  ApiTable* table;
  CreateSessionOptionsFn original;
  Libraries libraries;
  {
    std::lock_guard lock(g_state_mutex);
    const Hook& hook = g_hooks[index];
    table = hook.runtime.table;
    original = hook.original;
    libraries = hook.libraries;
  }
  t_choice.Apply(&libraries);
  if (OrtStatus* status = original(out)) return status;
  for (const std::string& library : libraries) {
    if (OrtStatus* status = RegisterWith(table, *out, library)) {
      ReleaseSessionOptions::In(table)(*out);
      *out = nullptr;
      return status;
    }
  }
  return nullptr;
}

// The hooked function has no parameter to say which table it was called through, so each table gets a
// function of its own.
template <size_t Index>
OrtStatus* Trampoline(OrtSessionOptions** out) noexcept {
  try {
    return CreateHookedOptions(Index, out);
  } catch (const std::exception& e) {
    return CreateStatus::In(g_hooks[Index].runtime.table)(kOrtFail, e.what());
  }
}

template <size_t... Index>
constexpr std::array<CreateSessionOptionsFn, sizeof...(Index)> MakeTrampolines(
    std::index_sequence<Index...>) {
  return {Trampoline<Index>...};
}

constexpr auto kTrampolines = MakeTrampolines(std::make_index_sequence<kMaxRuntimes>());

std::optional<Problem> PutInTable(const Runtime& runtime, CreateSessionOptionsFn fn) {
  const auto failure =
      WritePointer(runtime.table + CreateSessionOptions::kPosition, reinterpret_cast<void*>(fn));
  if (!failure) return std::nullopt;
  return NotPatchable(runtime, *failure);
}

// The functions below expect g_state_mutex to be held.

Hook* FindHook(ApiTable* table) {
  const auto end = g_hooks.begin() + g_hook_count;
  const auto found =
      std::find_if(g_hooks.begin(), end, [&](const Hook& h) { return h.runtime.table == table; });
  return found == end ? nullptr : &*found;
}

Hook* FindOrAddHook(const Runtime& runtime) {
  if (Hook* hook = FindHook(runtime.table)) return hook;
  if (g_hook_count == kMaxRuntimes) return nullptr;
  Hook& hook = g_hooks[g_hook_count++];
  hook.runtime = runtime;
  return &hook;
}

std::optional<Problem> Install(Hook& hook) {
  const CreateSessionOptionsFn trampoline = kTrampolines[&hook - g_hooks.data()];
  const CreateSessionOptionsFn current = CreateSessionOptions::In(hook.runtime.table);
  const bool overwritten = hook.installed && current == hook.original;
  if (current == trampoline || (hook.installed && !overwritten)) return std::nullopt;
  hook.original = current;
  const auto problem = PutInTable(hook.runtime, trampoline);
  hook.installed = !problem;
  return problem;
}

// Where someone hooked after us, our function stays in their chain and passes every call through.
void Remove(Hook& hook) {
  const CreateSessionOptionsFn trampoline = kTrampolines[&hook - g_hooks.data()];
  if (hook.installed && CreateSessionOptions::In(hook.runtime.table) == trampoline) {
    hook.installed = PutInTable(hook.runtime, hook.original).has_value();
  }
}

void RemoveIdleHooks() {
  for (size_t i = 0; i < g_hook_count; ++i)
    if (g_hooks[i].libraries.empty()) Remove(g_hooks[i]);
}

bool Contains(const Libraries& libraries, const std::string& library) {
  return std::find(libraries.begin(), libraries.end(), library) != libraries.end();
}

// The runtime's own way to create session options, and the libraries that ours adds to them.
std::pair<CreateSessionOptionsFn, Libraries> Registered(ApiTable* table) {
  std::lock_guard lock(g_state_mutex);
  const Hook* hook = FindHook(table);
  if (!hook) return {CreateSessionOptions::In(table), {}};
  return {hook->installed ? hook->original : CreateSessionOptions::In(table), hook->libraries};
}

std::variant<Runtime, Problem> InspectLoaded(const std::string& path) {
  const std::vector<RuntimeImage> images = FindRuntimes();
  const auto image =
      std::find_if(images.begin(), images.end(), [&](const RuntimeImage& i) { return i.path == path; });
  if (image == images.end()) return Problem{kHookFailed, "no ONNX Runtime is loaded from " + path};
  return InspectRuntime(*image);
}

}  // namespace

std::vector<RuntimeState> ListRuntimes() {
  std::vector<RuntimeState> states;
  for (RuntimeImage& image : FindRuntimes()) {
    RuntimeState state{image.path, "", std::move(image.bindings), {}, std::nullopt};
    auto inspected = InspectRuntime(image);
    if (const Runtime* runtime = std::get_if<Runtime>(&inspected)) {
      state.version = runtime->version;
      std::lock_guard lock(g_state_mutex);
      if (const Hook* hook = FindHook(runtime->table)) state.libraries = hook->libraries;
    } else {
      state.problem = std::get<Problem>(std::move(inspected));
    }
    states.push_back(std::move(state));
  }
  return states;
}

std::optional<Problem> RegisterLibrary(const std::string& runtime_path, const std::string& library,
                                       Scope scope) {
  std::lock_guard registration(g_registration_mutex);
  auto inspected = InspectLoaded(runtime_path);
  if (Problem* problem = std::get_if<Problem>(&inspected)) return std::move(*problem);
  const Runtime& runtime = std::get<Runtime>(inspected);
  // Neither our functions nor a table that we change may go away when the worker thread that loaded them
  // ends.
  PinImage(reinterpret_cast<const void*>(&CreateHookedOptions));
  PinImage(runtime.table);

  if (scope == Scope::kThread) t_choice.Begin(library, true);
  auto [create_options, libraries] = Registered(runtime.table);
  if (!Contains(libraries, library)) {
    if (auto problem = TryLibrary(runtime, create_options, libraries, library)) return problem;
    libraries.push_back(library);
  }

  std::lock_guard lock(g_state_mutex);
  Hook* hook = FindOrAddHook(runtime);
  if (!hook) return TooManyRuntimes();
  if (auto problem = Install(*hook)) return problem;
  if (scope == Scope::kProcess) hook->libraries = std::move(libraries);
  return std::nullopt;
}

bool UnregisterLibrary(const std::string& library) {
  std::lock_guard registration(g_registration_mutex);
  std::lock_guard lock(g_state_mutex);
  bool found = false;
  for (size_t i = 0; i < g_hook_count; ++i) {
    Hook& hook = g_hooks[i];
    if (!Contains(hook.libraries, library)) continue;
    found = true;
    hook.libraries.erase(std::find(hook.libraries.begin(), hook.libraries.end(), library));
  }
  if (g_choosers == 0) RemoveIdleHooks();
  return found;
}

void ExcludeLibrary(const std::string& library) { t_choice.Begin(library, false); }

void EndChoice() { t_choice.End(); }

}  // namespace blockrank
