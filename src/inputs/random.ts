// Seeded random inputs, for a model that no real ones are at hand for.
import { ELEMENT_TYPES, elementCount, type NumericArray, type TensorValue } from './element-types.js';
import { numberToHalf } from './half.js';
import type { ModelInput } from './model-inputs.js';

/** Integers are drawn below this: small enough to index any vocabulary or table. */
const INTEGER_RANGE = 16;

/** A generator of numbers in [0, 1): mulberry32, 32 bits of state, the same everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A value for `input` of shape `dims`. By name: `*mask*` is all ones, `*token_type_ids` all zeros, `*position_ids` and
 * `*cache_position` count up along the last axis. Otherwise floats are uniform in [-1, 1), integers in 0 … 15, bools even odds.
 */
export function randomInput(input: ModelInput, dims: readonly number[], random: () => number): TensorValue {
  const { view, bytes } = ELEMENT_TYPES[input.type];
  const data = new view(new ArrayBuffer(elementCount(dims) * bytes));
  const last = dims.at(-1) ?? 1;
  write(data, input.type === 'float16', (index) => {
    if (/mask/i.test(input.name)) return 1;
    if (/token_type_ids$/i.test(input.name)) return 0;
    if (/(position_ids|cache_position)$/i.test(input.name)) return index % last;
    if (input.type.startsWith('float')) return 2 * random() - 1;
    return Math.floor(random() * (input.type === 'bool' ? 2 : INTEGER_RANGE));
  });
  return { type: input.type, dims, data };
}

function write(data: NumericArray, half: boolean, value: (index: number) => number): void {
  for (let index = 0; index < data.length; index++) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[index] = BigInt(value(index));
    else data[index] = half ? numberToHalf(value(index)) : value(index);
  }
}
