// Sizes of axes: a whole number times named sizes that only a run knows, such as 4 · batch · seq.

export interface Size {
  readonly n: number;
  /** Sorted; a name may stand twice. */
  readonly symbols: readonly string[];
}

export const ONE: Size = { n: 1, symbols: [] };

export function size(n: number, ...symbols: string[]): Size {
  return { n, symbols: [...symbols].sort() };
}

export function times(a: Size, b: Size): Size {
  return size(a.n * b.n, ...a.symbols, ...b.symbols);
}

export function productOf(sizes: readonly Size[]): Size {
  return sizes.reduce(times, ONE);
}

/** a / b, or undefined where that is no whole size. */
export function quotient(a: Size, b: Size): Size | undefined {
  const rest = [...a.symbols];
  for (const symbol of b.symbols) {
    const at = rest.indexOf(symbol);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  return b.n !== 0 && a.n % b.n === 0 ? size(a.n / b.n, ...rest) : undefined;
}

export function isSame(a: Size, b: Size): boolean {
  return a.n === b.n && a.symbols.join() === b.symbols.join();
}

export function isOne(a: Size): boolean {
  return isSame(a, ONE);
}

export function isKnown({ symbols }: Size): boolean {
  return symbols.length === 0;
}

export function show({ n, symbols }: Size): string {
  return [...(n === 1 && symbols.length > 0 ? [] : [n]), ...symbols].join('·');
}
