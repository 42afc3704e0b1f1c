/** Registers custom-op libraries with every onnxruntime-node of this process. */
import { resolve } from 'node:path';
import { realpathSync } from 'node:fs';
import { BlockrankError, type ErrorCode } from '../../graph-rewriter/errors.js';
import { loadAddon, type Addon, type NativeRuntime } from './addon.js';
import { checkLibraryFile } from './check-library.js';
import { locateLibrary } from './locate.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';

export interface RegisterOptions {
  /** Path of the library to register instead of blockrank's own libblockrank.so. */
  readonly library?: string;
}

export interface HookedRuntime {
  readonly version: string;
  /** Path of its libonnxruntime. */
  readonly path: string;
}

export interface RegistrationInfo {
  /** Real path of the library that is now registered. */
  readonly library: string;
  readonly runtimes: readonly HookedRuntime[];
  /** Copies of ONNX Runtime that other packages loaded and that cannot take the library: their sessions are as before. */
  readonly skipped: readonly (HookedRuntime & { readonly reason: string })[];
}

let own: string | undefined;

/**
 * Makes blockrank's operators known to every onnxruntime-node session that is created from now on, in every thread of the
 * process. May be called before or after onnxruntime-node is imported, and again at any time.
 *
 * Every copy of ONNX Runtime that the process has loaded is hooked. If none belongs to an onnxruntime-node yet, the one
 * that the application resolves is loaded first (main script, then current directory, then blockrank's own folder).
 *
 * @throws BlockrankError NATIVE_MISSING, ORT_NOT_FOUND, ORT_UNSUPPORTED, HOOK_FAILED, LIBRARY_NOT_FOUND, LIBRARY_INVALID or
 * LIBRARY_INCOMPATIBLE; nothing is registered then.
 */
export function register(options: RegisterOptions = {}): RegistrationInfo {
  const info = registerEverywhere(options.library ?? locateLibrary(), 'register');
  own = info.library;
  return info;
}

/**
 * Sessions that this thread creates have the operators or not, whatever is registered and whatever other threads do, until the
 * function that is given back is called. A thread has one such choice at a time.
 *
 * @throws BlockrankError as `register`, where the operators are wanted.
 */
export function chooseForThread(wanted: boolean): () => void {
  const end = () => {
    withoutNative(() => loadAddon().endChoice());
  };
  try {
    if (wanted) registerEverywhere(own ?? locateLibrary(), 'choose');
    else withoutNative(() => loadAddon().exclude(registeredName(own ?? locateLibrary())));
  } catch (error) {
    end();
    throw error;
  }
  return end;
}

/**
 * Undoes `register`, for the whole process: sessions created from now on do not know the operators; those that exist keep
 * them. Does nothing where nothing is registered.
 */
export function unregister(): void {
  withoutNative(() => unregisterCustomOpsLibrary(own ?? locateLibrary()));
  own = undefined;
}

/** Undefined without native files, where nothing can be registered. */
function withoutNative<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof BlockrankError) return undefined;
    throw error;
  }
}

/**
 * Registers any ONNX Runtime custom-op library, as `register` does for blockrank's own: a shared library that exports
 * RegisterCustomOps. It is tried in a small session first, so whatever is wrong with it is thrown here, and it stays loaded
 * until the process ends.
 *
 * @throws BlockrankError as `register`.
 */
export function registerCustomOpsLibrary(path: string): void {
  registerEverywhere(path, 'register');
}

/** Undoes `registerCustomOpsLibrary`. Does nothing where that library is not registered. */
export function unregisterCustomOpsLibrary(path: string): void {
  loadAddon().unregister(registeredName(path));
}

function registeredName(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

function registerEverywhere(path: string, how: 'register' | 'choose'): RegistrationInfo {
  const addon = loadAddon();
  const library = checkLibraryFile(path);
  const runtimes = loadedRuntimes(addon);
  const known = runtimes.some((runtime) => runtime.libraries.includes(library));
  const ofNode = runtimes.filter((runtime) => runtime.bindings.length > 0);
  // A bundler may have renamed the binding; then every runtime counts as the application's own.
  const required = ofNode.length > 0 ? ofNode : runtimes;
  const done: HookedRuntime[] = [];
  const skipped: RegistrationInfo['skipped'][number][] = [];
  for (const runtime of runtimes) {
    const { path, version } = runtime;
    const failure = tryRegister(() => addon[how](runtime.path, library), runtime, library);
    if (!failure) done.push({ path, version });
    else if (!required.includes(runtime)) skipped.push({ path, version, reason: failure.message });
    else {
      if (!known && how === 'register') addon.unregister(library);
      throw failure;
    }
  }
  return { library, runtimes: done, skipped };
}

function loadedRuntimes(addon: Addon): NativeRuntime[] {
  const before = addon.runtimes();
  if (before.some((runtime) => runtime.bindings.length > 0)) return before;
  try {
    loadOnnxRuntime();
  } catch (error) {
    if (before.length > 0) return before;
    throw error;
  }
  const after = addon.runtimes();
  if (after.length > 0) return after;
  throw new BlockrankError(
    'HOOK_FAILED',
    'onnxruntime-node was loaded, but no library of this process exports OrtGetApiBase, so it cannot be hooked. ' +
      'Use the onnxruntime-node package as npm publishes it.',
  );
}

function tryRegister(action: () => void, runtime: NativeRuntime, library: string): BlockrankError | null {
  try {
    action();
    return null;
  } catch (cause) {
    const { code, message } = cause as { code: ErrorCode; message: string };
    const where = runtime.version ? `ONNX Runtime ${runtime.version}` : 'ONNX Runtime';
    return new BlockrankError(code, `${library} cannot be registered with ${where}: ${message}.`, { cause });
  }
}
