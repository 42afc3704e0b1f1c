// Threads that share the work of one call.
#pragma once

#include <cstdint>
#include <functional>

namespace blockrank::linalg {

/// Threads that calls are spread over, this one included; 1 to 256. The processor's own count before it is
/// set.
void SetThreads(int count);

/// body(0) … body(count − 1), each once, in any order and on any thread; returns when all have run. A call
/// from within a body, or while another thread's call is running, does everything itself.
void ParallelFor(int64_t count, const std::function<void(int64_t)>& body);

}  // namespace blockrank::linalg
