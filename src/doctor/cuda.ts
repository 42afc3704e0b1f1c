/** Whether sessions can use an NVIDIA GPU: five separate questions, each with its own answer. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Addon } from '../loader/addon.js';
import { ok, unavailable, type Check } from './check.js';
import type { BuildInfo } from './cpu.js';
import { neededLibraries } from './needed-libraries.js';

export interface CudaReport {
  /** Is there an NVIDIA driver with a device? */
  readonly driver: Check;
  /** Does onnxruntime-node have its CUDA provider? */
  readonly provider: Check;
  /** Are the CUDA libraries that the provider is linked to installed? */
  readonly runtime: Check;
  /** Are blockrank's own CUDA kernels loaded? Without them its operators run on the CPU in a CUDA session. */
  readonly kernels: Check;
  /** Does a session on the device work? Only tried where the others are ok. */
  readonly device: Check;
}

const PROVIDER_FILES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];

function checkDriver(addon: Addon): Check {
  const { error, version, devices } = addon.cudaDriver();
  if (error)
    return unavailable(error, 'Install the NVIDIA driver; in a container, start it with GPU access.');
  const cuda = `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
  if (devices.length === 0) {
    return unavailable(
      `the driver (CUDA ${cuda}) sees no device`,
      'Check CUDA_VISIBLE_DEVICES and nvidia-smi.',
    );
  }
  return ok(`CUDA ${cuda}, ${devices.join(', ')}`);
}

function checkProvider(folder: string): Check {
  const absent = PROVIDER_FILES.filter((file) => !existsSync(join(folder, file)));
  if (absent.length === 0) return ok(folder);
  return unavailable(
    `${absent.join(' and ')} not in ${folder}`,
    'On linux-x64, let onnxruntime-node download it: ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node',
  );
}

function checkRuntime(addon: Addon, folder: string): Check {
  // Opened one by one, never the provider itself: it must not be loaded by anyone but ONNX Runtime.
  const needed = neededLibraries(join(folder, PROVIDER_FILES[1])).filter((name) => /^lib(cu|nv)/.test(name));
  const absent = needed.filter((name) => addon.loadError(name) !== null);
  if (absent.length === 0) return ok(needed.join(', '));
  return unavailable(
    `not found: ${absent.join(', ')}`,
    'Install the CUDA toolkit and cuDNN of these versions, and put their folders into LD_LIBRARY_PATH or the ld.so cache.',
  );
}

function checkKernels(build: BuildInfo | undefined): Check {
  if (build?.cuda?.available) return ok(build.cuda.library ?? 'loaded');
  return unavailable(
    build?.cuda?.reason ?? 'the ops library says nothing of CUDA kernels',
    'Where an NVIDIA GPU and the CUDA toolkit (12.8 or later) are installed, `npm rebuild blockrank` builds them.',
  );
}

/**
 * What can be said without creating a session. `folder` is where libonnxruntime lies, `build` what the ops library
 * says of itself.
 */
export function detectCuda(
  addon: Addon,
  folder: string,
  build: BuildInfo | undefined,
): Omit<CudaReport, 'device'> {
  const provider = checkProvider(folder);
  const runtime =
    provider.status === 'ok'
      ? checkRuntime(addon, folder)
      : unavailable('not known without the provider, which says what it needs');
  return { driver: checkDriver(addon), provider, runtime, kernels: checkKernels(build) };
}

/** What the ops library says of itself; undefined where it says nothing. */
export function readBuildInfo(addon: Addon, library: string): BuildInfo | undefined {
  const text = addon.buildInfo(library);
  return text ? (JSON.parse(text) as BuildInfo) : undefined;
}

/**
 * The first reason why CUDA cannot work, with the kernels of the ops library at `library` where one is named; null where a
 * session is worth trying.
 */
export function whyNotCuda(addon: Addon, library?: string): string | null {
  const runtime = addon.runtimes().find((r) => r.bindings.length > 0);
  if (!runtime) return 'onnxruntime-node is not loaded';
  const { kernels, ...others } = detectCuda(
    addon,
    dirname(runtime.path),
    library === undefined ? undefined : readBuildInfo(addon, library),
  );
  const asked = library === undefined ? others : { ...others, kernels };
  const failed = Object.entries(asked).find(([, check]) => check.status !== 'ok');
  return failed ? `CUDA ${failed[0]}: ${failed[1].reason}` : null;
}
