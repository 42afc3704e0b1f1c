// What of a factorization is written to the model: the operator's inputs between X and B, in order, as stored.
import { BlockrankError } from './errors.js';
import { quantize } from './factorize/int8/index.js';
import type { Factorization, Factors, Int8Factors } from './factorize/types.js';
import { encodeFloats } from './floats.js';
import { type FactorInput, factorInputs } from './functions/factor-inputs.js';
import type { FactorType, FloatFactorType } from './types.js';

export interface StoredFactor {
  readonly name: FactorInput;
  readonly dims: readonly number[];
  readonly type: FactorType;
  readonly bytes: Uint8Array;
}

/** Of int8 factors: what the scales and S are stored as. */
export const SCALE_TYPE = 'float16';

/** `layer` is its id, for messages; `scale` is multiplied into U. Throws FACTORIZATION where a type cannot hold a number. */
export function storedFactors(
  layer: string,
  { factors, quantization }: Pick<Factorization, 'factors' | 'quantization'>,
  type: FactorType,
  scale: number,
): StoredFactor[] {
  const isInt8 = type === 'int8';
  const numbers = isInt8 ? (quantization?.factors ?? quantize(factors)) : factors;
  return factorInputs(factors.structure, isInt8).map((name) => {
    const values = valuesOf(numbers, name);
    const dims = factorDims(factors, name);
    const expected = dims.reduce((a, b) => a * b, 1);
    if (values?.length !== expected)
      throw problem(
        `The factorization of ${layer} has ${values?.length ?? 'no'} numbers in ${name}; expected ${expected}.`,
      );
    if (values instanceof Int8Array)
      return {
        name,
        dims,
        type: 'int8',
        bytes: new Uint8Array(values.buffer, values.byteOffset, values.length),
      };
    const stored = type === 'int8' ? SCALE_TYPE : type;
    const scaled = scale !== 1 && name === (isInt8 ? 'UScale' : 'U') ? values.map((u) => u * scale) : values;
    return { name, dims, type: stored, bytes: encode(layer, name, scaled, stored) };
  });
}

export function factorDims(f: Omit<Factors, 'V' | 'S' | 'U'>, name: FactorInput): number[] {
  const isMonarch = f.structure === 'monarch';
  switch (name) {
    case 'V':
      return isMonarch ? [f.blocksOut, f.rank, f.in] : [f.rank, f.in];
    case 'VScale':
      if (isMonarch) return [f.blocksOut, f.blocksIn, f.rank];
      return f.structure === 'blast' ? [f.blocksIn, f.rank] : [f.rank];
    case 'S':
      return [f.blocksOut, f.blocksIn, f.rank];
    case 'U':
      return isMonarch ? [f.out, f.blocksIn, f.rank] : [f.out, f.rank];
    case 'UScale':
      return isMonarch ? [f.out, f.blocksIn] : [f.out];
  }
}

function valuesOf(numbers: Factors | Int8Factors, name: FactorInput): Float32Array | Int8Array | undefined {
  if (name === 'VScale') return (numbers as Int8Factors).vScale;
  if (name === 'UScale') return (numbers as Int8Factors).uScale;
  return numbers[name];
}

function encode(layer: string, name: FactorInput, values: Float32Array, type: FloatFactorType): Uint8Array {
  const limit = type === 'float16' ? 65504 : 3.38e38;
  const bad = values.findIndex((value) => !(Math.abs(value) <= limit));
  if (bad >= 0)
    throw problem(
      `Factor ${name} of ${layer} holds ${values[bad]}, which ${type} cannot. Choose another factor type or keep the layer dense.`,
    );
  return encodeFloats(values, type);
}

const problem = (message: string) => new BlockrankError('FACTORIZATION', message);
