// `--shape name:1,3,48,320` and what it says about dimensions that a model leaves open.
import { BlockrankError } from '../../graph-rewriter/errors.js';
import type { ModelInput } from './model-inputs.js';

export type Shapes = Readonly<Record<string, readonly number[]>>;

/** Parses `name:1,3,48,320` (a name may hold colons). @throws BlockrankError INVALID_ARGUMENT */
export function parseShape(text: string): { name: string; dims: number[] } {
  const split = text.lastIndexOf(':');
  const parts = text.slice(split + 1).split(',');
  if (split < 1 || !parts.every((part) => /^\d+$/.test(part.trim()))) {
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `expected a shape as name:dimensions, for example x:1,3,48,320, and found '${text}'`,
    );
  }
  return { name: text.slice(0, split), dims: parts.map(Number) };
}

/**
 * A shape for every input: the given one, else the model's own with open dimensions filled from a given shape
 * that has the same symbol, else 1 on the first axis (the batch).
 * @throws BlockrankError INVALID_INPUTS where a dimension stays open or a given shape does not fit the model
 */
export function resolveShapes(inputs: readonly ModelInput[], given: Shapes): Map<string, readonly number[]> {
  for (const name of Object.keys(given)) {
    if (!inputs.some((input) => input.name === name)) {
      throw new BlockrankError(
        'INVALID_INPUTS',
        `a shape is given for '${name}', and the model's inputs are ${inputs.map((input) => `'${input.name}'`).join(', ')}`,
      );
    }
  }
  const symbols = bindSymbols(inputs, given);
  requireAll(inputs, given, symbols);
  return new Map(inputs.map((input) => [input.name, given[input.name] ?? fill(input, symbols)]));
}

/** Whether `dims` are an instance of the model's shape. */
export function shapeFits(shape: ModelInput['shape'], dims: readonly number[]): boolean {
  if (!shape) return true;
  return (
    shape.length === dims.length && shape.every((dim, axis) => typeof dim === 'string' || dim === dims[axis])
  );
}

function bindSymbols(inputs: readonly ModelInput[], given: Shapes): Map<string, number> {
  const symbols = new Map<string, number>();
  for (const input of inputs) {
    const dims = given[input.name];
    if (!dims) continue;
    if (!shapeFits(input.shape, dims)) {
      throw new BlockrankError(
        'INVALID_INPUTS',
        `input '${input.name}' has the shape [${(input.shape ?? []).join(', ')}] in the model, and the given one is [${dims.join(', ')}]`,
      );
    }
    input.shape?.forEach((dim, axis) => {
      if (typeof dim === 'string' && dim !== '') symbols.set(dim, dims[axis]);
    });
  }
  return symbols;
}

/** Names every input that needs a shape at once; one that shares its symbols with another goes with that. */
function requireAll(
  inputs: readonly ModelInput[],
  given: Shapes,
  symbols: ReadonlyMap<string, number>,
): void {
  const named = new Set(symbols.keys());
  const missing = inputs.filter((input) => {
    const open = input.name in given ? [] : openDims(input).filter(({ dim }) => !named.has(dim));
    for (const { dim } of open) if (dim !== '') named.add(dim);
    return open.length > 0;
  });
  if (missing.length === 0) return;
  const list = missing.map((input) => {
    const axes = openDims(input)
      .filter(({ dim }) => !symbols.has(dim))
      .map(({ axis }) => axis);
    const shape = (input.shape ?? []).map((dim) => (dim === '' ? '?' : dim)).join(', ');
    return `input '${input.name}' leaves its dimension${axes.length > 1 ? 's' : ''} ${axes.join(', ')} open ([${shape}])`;
  });
  const options = missing.map((input) => `--shape ${input.name}:${exampleShape(input, symbols)}`);
  throw new BlockrankError(
    'INVALID_INPUTS',
    `${list.join('; ')}: give ${missing.length > 1 ? 'shapes' : 'a shape'} with ${options.join(' ')}, or real inputs with --inputs`,
  );
}

/** All but the first, which is taken for the batch. */
function openDims({ shape }: ModelInput): { axis: number; dim: string }[] {
  return (shape ?? []).flatMap((dim, axis) => (typeof dim === 'string' && axis > 0 ? [{ axis, dim }] : []));
}

function fill(input: ModelInput, symbols: ReadonlyMap<string, number>): readonly number[] {
  return (input.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : (symbols.get(dim) ?? 1)));
}

/** The shape with every open dimension shown as a number that the user is to change. */
function exampleShape(input: ModelInput, symbols: ReadonlyMap<string, number>): string {
  return (input.shape ?? [])
    .map((dim, axis) => (typeof dim === 'number' ? dim : (symbols.get(dim) ?? (axis === 0 ? 1 : 64))))
    .join(',');
}
