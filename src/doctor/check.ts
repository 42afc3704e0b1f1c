/** One answer of `doctor`. */
export interface Check {
  readonly status: 'ok' | 'unavailable';
  /** What was found. */
  readonly reason: string;
  /** What to do about it; absent where nothing needs to be done. */
  readonly fix?: string;
}

export const ok = (reason: string): Check => ({ status: 'ok', reason });

export const unavailable = (reason: string, fix?: string): Check => ({
  status: 'unavailable',
  reason,
  ...(fix === undefined ? {} : { fix }),
});

/** The result of `action` with what it found, or the error that it threw. BlockrankErrors say what to do themselves. */
export function attempt(action: () => string): Check {
  try {
    return ok(action());
  } catch (error) {
    return unavailable((error as Error).message);
  }
}
