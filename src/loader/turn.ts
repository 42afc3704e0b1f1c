// What is registered is one state of the process: whoever needs it to hold across an await takes a turn.
let last: Promise<unknown> = Promise.resolve();

/** Runs `action` after all that were given before it, whether or not those failed. */
export function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const turn = last.then(action);
  last = turn.catch(() => undefined);
  return turn;
}
