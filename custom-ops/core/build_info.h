// What this library says of itself, for the package's doctor.
#pragma once

namespace blockrank {

/// {"version":…,"isa":…,"features":[…],"cuda":{"available":true,"library":…} or
/// {"available":false,"reason":…}}. `available` says that the CUDA kernels are loaded, not that there is a
/// GPU.
const char* BuildInfo();

}  // namespace blockrank
