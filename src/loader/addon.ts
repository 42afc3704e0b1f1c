/** The native seam: what blockrank.node (src/native/addon.cc) exports, described by hand, and how it is loaded. */
import { createRequire } from 'node:module';
import type { Loops } from '../../graph-rewriter/factorize/loops.js';
import { findNativeFile } from './locate.js';

/** One ONNX Runtime that this process has loaded. */
export interface NativeRuntime {
  /** Path of its libonnxruntime. */
  readonly path: string;
  /** Such as 1.29.0; '' where `problem` is set. */
  readonly version: string;
  /** The onnxruntime_binding.node files that are linked to it. */
  readonly bindings: readonly string[];
  /** Custom-op libraries registered with it, in order. */
  readonly libraries: readonly string[];
  /** Why it cannot be hooked, with an error code. */
  readonly code?: 'ORT_UNSUPPORTED' | 'HOOK_FAILED';
  readonly problem?: string;
}

export interface CudaDriver {
  /** Why there is no usable driver; '' where there is one. */
  readonly error: string;
  /** Newest CUDA that the driver supports, 1000 · major + 10 · minor. */
  readonly version: number;
  /** Names of the devices. */
  readonly devices: readonly string[];
}

/** Synchronous, callable from any thread; the state behind it is one per process. Throws Errors whose `code` is an ErrorCode. */
export interface Addon {
  runtimes(): NativeRuntime[];
  /** Tries the library in the runtime loaded from `runtimePath`, then adds it to every session created from now on. */
  register(runtimePath: string, library: string): void;
  /** The same for sessions that this thread creates until `endChoice`, whatever is registered; also to be ended where it throws. */
  choose(runtimePath: string, library: string): void;
  /** Sessions that this thread creates until `endChoice` do not get the library, although it is registered. */
  exclude(library: string): void;
  endChoice(): void;
  /** Takes the library away from every runtime; false where it was not registered. */
  unregister(library: string): boolean;
  /** What the library's BlockrankBuildInfo() returns (JSON); null where it exports none. */
  buildInfo(library: string): string | null;
  /** Why the dynamic loader does not find that shared library; null where it does. */
  loadError(name: string): string | null;
  cudaDriver(): CudaDriver;
  readonly linearAlgebra: LinearAlgebra;
}

/** `Loops` with a `Scales` spelled out as its data and distances, and products (src/native/linalg/exports.cc). */
export interface LinearAlgebra extends Pick<
  Loops,
  | 'cholesky'
  | 'invertLower'
  | 'solveCholesky'
  | 'tridiagonalise'
  | 'transformBack'
  | 'removeParts'
  | 'rowProducts'
  | 'scaleForms'
> {
  /** Threads that calls are spread over, the caller's included. */
  threads(count: number): void;
  /** c = a·b, or c += a·b, `batch` times; operands are used turned or not, and a step of 0 uses one matrix for all. */
  multiply(
    a: Float64Array,
    turnedA: boolean,
    stepA: number,
    b: Float64Array,
    turnedB: boolean,
    stepB: number,
    c: Float64Array,
    rows: number,
    depth: number,
    columns: number,
    batch: number,
    add: boolean,
  ): void;
  /** product = aᵀ·b of a [rows, n] and b [rows, m], which may be one. */
  gram(a: Float32Array, b: Float32Array, rows: number, n: number, m: number, product: Float32Array): void;
  couple(
    data: Float64Array,
    outer: number,
    inner: number,
    outputs: number,
    inputs: number,
    r: number,
    p: number,
    z: Float64Array,
    sums: Float64Array,
  ): void;
  columnForm(
    data: Float64Array,
    outer: number,
    g: Float64Array,
    blocks: number,
    r: number,
    form: Float64Array,
  ): void;
  addScaleShift(
    factor: number,
    g: Float64Array,
    h: Float64Array,
    data: Float64Array,
    outer: number,
    blocks: number,
    r: number,
    sums: Float64Array,
  ): void;
  addScaledForm(
    factor: number,
    data: Float64Array,
    outer: number,
    h: Float64Array,
    blocks: number,
    r: number,
    forms: Float64Array,
  ): void;
}

/** @throws BlockrankError NATIVE_MISSING with every place that was tried. */
export function loadAddon(): Addon {
  return findNativeFile('blockrank.node', (path) => createRequire(path)(path) as Addon);
}
