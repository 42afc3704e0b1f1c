// Opens sessions with the custom ops registered, or without, and leaves the registration as it was.
import { realpathSync } from 'node:fs';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadAddon } from '../loader/addon.js';
import { locateLibrary } from '../loader/locate.js';
import { register, unregister } from '../loader/register.js';

/** @throws BlockrankError the loader's codes where the plugin is wanted and cannot be registered */
export async function withPlugin<T>(wanted: boolean, action: () => Promise<T>): Promise<T> {
  const before = isRegistered();
  if (wanted) register();
  else unregister();
  try {
    return await action();
  } finally {
    if (before) register();
    else unregister();
  }
}

function isRegistered(): boolean {
  try {
    const library = realpathSync(locateLibrary());
    return loadAddon()
      .runtimes()
      .some((runtime) => runtime.libraries.includes(library));
  } catch (error) {
    // Without native files nothing can be registered.
    if (error instanceof BlockrankError) return false;
    throw error;
  }
}
