// Opens sessions with the custom ops registered, or without, and leaves the registration as it was.
import { realpathSync } from 'node:fs';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { loadAddon } from '../loader/addon.js';
import { locateLibrary } from '../loader/locate.js';
import { ownLibrary, register, unregister } from '../loader/register.js';
import { inTurn } from '../loader/turn.js';

/** @throws BlockrankError the loader's codes where the plugin is wanted and cannot be registered */
export function withPlugin<T>(wanted: boolean, action: () => Promise<T>): Promise<T> {
  return inTurn(async () => {
    const before = registeredLibrary();
    const restore = () => (before === undefined ? unregister() : register({ library: before }));
    if (!wanted) unregister();
    else if (before === undefined) register();
    try {
      return await action();
    } finally {
      restore();
    }
  });
}

/** Ours, or the one that the application registered in its place. */
function registeredLibrary(): string | undefined {
  try {
    const library = ownLibrary() ?? realpathSync(locateLibrary());
    const isLoaded = loadAddon()
      .runtimes()
      .some((runtime) => runtime.libraries.includes(library));
    return isLoaded ? library : undefined;
  } catch (error) {
    // Without native files nothing can be registered.
    if (error instanceof BlockrankError) return undefined;
    throw error;
  }
}
