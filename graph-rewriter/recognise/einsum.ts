// Einsum's equation, such as `...jp,jrp->...jr`.
import { contract } from './algebra.js';
import type { Form } from './form.js';

/** Of one or two values; undefined where an axis would stand twice, as on a diagonal. */
export function einsum(text: string, values: readonly (Form | undefined)[]): Form | undefined {
  const [left, explicit] = text.replace(/\s/g, '').split('->');
  const inputs = left.split(',');
  if (values.includes(undefined) || values.length > 2 || inputs.length !== values.length) return undefined;
  const labels = inputs.map((letters, i) => expand(letters, values[i]!.axes.length));
  if (!labels.every(isDistinct)) return undefined;
  const output = explicit ?? implicit(inputs);
  const free = Math.max(...labels.map((all) => all!.filter((label) => typeof label === 'number').length));
  const result = expand(output, (output.includes('...') ? free : 0) + letterCount(output));
  if (!isDistinct(result)) return undefined;
  const one: Form = { axes: [], terms: [{ coefficient: 1, factors: [] }] };
  return contract(values[0]!, labels[0]!, values[1] ?? one, labels[1] ?? [], result!);
}

/** The axes of `...` are numbered from the right, as they are broadcast. */
function expand(letters: string, rank: number): (string | number)[] | undefined {
  const [before, after] = letters.includes('...') ? letters.split('...') : [letters, undefined];
  const free = rank - letterCount(letters);
  if (free < 0 || (after === undefined && free !== 0)) return undefined;
  return [...before, ...Array.from({ length: free }, (_, i) => free - 1 - i), ...(after ?? '')];
}

function letterCount(letters: string): number {
  return letters.replace('...', '').length;
}

/** Without an arrow: the letters that stand once, in alphabetical order. */
function implicit(inputs: readonly string[]): string {
  const all = inputs.join('').replaceAll('.', '');
  const once = [...all].filter((letter) => all.split(letter).length === 2).sort();
  return (inputs.some((letters) => letters.includes('...')) ? '...' : '') + once.join('');
}

function isDistinct(labels: readonly unknown[] | undefined): boolean {
  return labels !== undefined && new Set(labels).size === labels.length;
}
