// What measured times depend on besides the layer: a name for this machine, its libraries and threads.
import { realpathSync, statSync } from 'node:fs';
import { findOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { describeCpu } from '../doctor/cpu.js';
import { readBuildInfo } from '../doctor/cuda.js';
import { loadAddon } from '../loader/addon.js';
import { locateLibrary } from '../loader/locate.js';

/** @throws BlockrankError NATIVE_MISSING, ORT_NOT_FOUND */
export function machineKey(threads: number | undefined): string {
  const cpu = describeCpu();
  const library = realpathSync(locateLibrary());
  const { size, mtimeMs } = statSync(library);
  const build = readBuildInfo(loadAddon(), library);
  return [
    cpu.model,
    `${threads ?? cpu.threads} threads`,
    `${build?.isa ?? 'unknown'} kernels ${build?.version ?? ''} of ${size} bytes, ${Math.round(mtimeMs)}`,
    `onnxruntime-node ${findOnnxRuntime().version}`,
  ].join(', ');
}
