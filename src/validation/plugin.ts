// Opens sessions with the custom ops or without, whatever is registered.
import { chooseForThread } from '../loader/register.js';
import { inTurn } from '../loader/turn.js';

/**
 * Sessions that this thread creates during `action` have the operators, or not; those of other threads are as ever.
 * @throws BlockrankError the loader's codes where the plugin is wanted and cannot be registered
 */
export function withPlugin<T>(wanted: boolean, action: () => Promise<T>): Promise<T> {
  return inTurn(async () => {
    const end = chooseForThread(wanted);
    try {
      return await action();
    } finally {
      end();
    }
  });
}
