/** Looks at everything that blockrank needs on this machine. Never throws: what is wrong is part of the report. */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { attempt, ok, unavailable, type Check } from './doctor/check.js';
import { describeCpu, type BuildInfo, type CpuReport } from './doctor/cpu.js';
import { detectCuda, readBuildInfo, type CudaReport } from './doctor/cuda.js';
import { checkOperators } from './doctor/operators.js';
import { loadAddon, type Addon, type NativeRuntime } from './loader/addon.js';
import { LIBRARY_VARIABLE, locateLibrary, packageRoot } from './loader/locate.js';
import { findOnnxRuntime, loadOnnxRuntime } from '../graph-rewriter/onnxruntime.js';
import { registerCustomOpsLibrary, unregisterCustomOpsLibrary } from './loader/register.js';

export type { Check } from './doctor/check.js';
export type { BuildInfo, CpuReport } from './doctor/cpu.js';
export type { CudaReport } from './doctor/cuda.js';

export interface DoctorReport {
  readonly blockrank: string;
  readonly node: { readonly version: string; readonly platform: string };
  readonly cpu: CpuReport;
  /** The onnxruntime-node that the application resolves. */
  readonly onnxruntime: Check & { readonly version?: string; readonly path?: string };
  /** blockrank.node */
  readonly addon: Check;
  /** Every ONNX Runtime loaded in this process, with what is registered in it. */
  readonly runtimes: readonly NativeRuntime[];
  /** libblockrank.so: where it is, how it was found, what it says of itself. */
  readonly library: Check & { readonly path?: string; readonly build?: BuildInfo };
  /** Can the library be registered with onnxruntime-node? */
  readonly hook: Check;
  /** Do the operators run? */
  readonly operators: Check;
  readonly cuda: CudaReport;
}

/** Sessions are created on the way; whatever was registered before is registered afterwards, and nothing else. */
export async function doctor(): Promise<DoctorReport> {
  const onnxruntime = checkOnnxRuntime();
  let addon: Addon | undefined;
  const addonCheck = attempt(() => {
    addon = loadAddon();
    return 'blockrank.node is loaded';
  });
  const library = checkLibrary(addon);
  return {
    blockrank: version(),
    node: { version: process.versions.node, platform: `${process.platform}-${process.arch}` },
    cpu: describeCpu(),
    onnxruntime,
    addon: addonCheck,
    library,
    ...(await tryRegistered(addon, library, onnxruntime)),
  };
}

function version(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string })
    .version;
}

function checkOnnxRuntime(): DoctorReport['onnxruntime'] {
  try {
    const { version, path, from } = findOnnxRuntime();
    loadOnnxRuntime();
    return { ...ok(`onnxruntime-node ${version}, resolved from ${from}`), version, path };
  } catch (error) {
    return unavailable((error as Error).message);
  }
}

function checkLibrary(addon: Addon | undefined): DoctorReport['library'] {
  try {
    const path = realpathSync(locateLibrary());
    const how = process.env[LIBRARY_VARIABLE] ? `named by ${LIBRARY_VARIABLE}` : 'in the package';
    const build = addon && readBuildInfo(addon, path);
    return { ...ok(`${path}, ${how}`), path, ...(build ? { build } : {}) };
  } catch (error) {
    return unavailable((error as Error).message);
  }
}

type Trial = Pick<DoctorReport, 'hook' | 'runtimes' | 'operators' | 'cuda'>;

/** Everything that needs the library registered. */
async function tryRegistered(
  addon: Addon | undefined,
  library: DoctorReport['library'],
  onnxruntime: Check,
): Promise<Trial> {
  const missing = [!addon && 'blockrank.node', onnxruntime.status !== 'ok' && 'onnxruntime-node'].filter(
    Boolean,
  );
  if (!addon || missing.length > 0) {
    const check = unavailable(`not tried without ${missing.join(' and ')}`);
    const cuda = { driver: check, provider: check, runtime: check, kernels: check, device: check };
    return { hook: check, runtimes: addon?.runtimes() ?? [], operators: check, cuda };
  }
  const { path, build } = library;
  const before = addon.runtimes().some((r) => path !== undefined && r.libraries.includes(path));
  const hook =
    path === undefined ? unavailable('not tried without libblockrank.so') : attempt(() => hookNow(path));
  const runtimes = addon.runtimes();
  const operators = await checkOperators(loadOnnxRuntime(), ['cpu']);
  const cuda = await checkCuda(addon, runtimes, build);
  if (path !== undefined && !before) unregisterCustomOpsLibrary(path);
  return { hook, runtimes, operators, cuda };
}

function hookNow(library: string): string {
  registerCustomOpsLibrary(library);
  const hooked = loadAddon()
    .runtimes()
    .filter((r) => r.libraries.includes(library));
  return hooked.map((r) => `ONNX Runtime ${r.version} (${r.path})`).join(', ');
}

async function checkCuda(
  addon: Addon,
  runtimes: readonly NativeRuntime[],
  build: BuildInfo | undefined,
): Promise<CudaReport> {
  const loaded = runtimes.find((r) => r.bindings.length > 0) ?? runtimes[0];
  const found = detectCuda(addon, dirname(loaded?.path ?? ''), build);
  const failed = Object.entries(found).filter(([, check]) => check.status !== 'ok');
  const device =
    failed.length > 0
      ? unavailable(`not tried without ${failed.map(([name]) => name).join(', ')}`)
      : await checkOperators(loadOnnxRuntime(), ['cuda']);
  return { ...found, device };
}
