// What this library says of itself, for the package's doctor.
#pragma once

namespace blockrank {

/// {"version":…,"isa":…,"int8":…,"bfloat16":…,"features":[…],"cuda":{"available":true,"library":…} or
/// {"available":false,"reason":…}}. `int8` and `bfloat16` name the
/// kernels of that arithmetic, null where float32 takes its place. `available` says that the CUDA kernels are
/// loaded, not that there is a GPU.
const char* BuildInfo();

}  // namespace blockrank
