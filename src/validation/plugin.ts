// Runs something with the custom ops registered, or without, and leaves the registration as it was.

/** `action` with the plugin registered where `wanted`. */
export async function withPlugin<T>(wanted: boolean, action: () => Promise<T>): Promise<T> {
  if (wanted) throw new Error('the loader is not merged yet');
  return action();
}
