// Takes over the factors of layers that are factorized already: each distinct one once, checked against the layer's own nodes.
import { encodeFactor, type Factorized, factorDims } from './factorized-layers.js';
import type { Factors } from './factorize/types.js';
import { FLOAT_BYTES } from './floats.js';
import { FACTOR_NAMES } from './functions/index.js';
import type { Names } from './names.js';
import { checkRecognition } from './recognise/check.js';
import type { Recognition } from './recognise/index.js';
import { factorNumbers } from './recognise/numbers.js';
import type { TensorStore } from './tensor-store.js';
import type { LayerInfo, Reason } from './types.js';

export class RecognisedLayers {
  private readonly done = new Map<string, Factorized | Reason>();

  constructor(
    private readonly store: TensorStore,
    private readonly names: Names,
  ) {}

  async get(info: LayerInfo, recognition: Recognition): Promise<Factorized | Reason> {
    const key = info.weightKey!;
    let result = this.done.get(key);
    if (result === undefined) {
      result = await this.take(info, recognition);
      this.done.set(key, result);
    }
    return result;
  }

  private async take(info: LayerInfo, recognition: Recognition): Promise<Factorized | Reason> {
    const { structure, factorType } = recognition;
    const { spec, interleaved } = structure;
    const shape = { ...spec, in: structure.in, out: structure.out };
    const factorNames = FACTOR_NAMES[spec.structure];
    const values = factorNames.map((name) => [name, factorNumbers(structure, name)] as const);
    const bad = values.find(([, numbers]) => !numbers.every(Number.isFinite));
    if (bad !== undefined)
      return {
        code: 'weight-not-finite',
        message: `Its factor ${bad[0]} holds a number that is not finite.`,
      };
    const factors = { ...shape, ...Object.fromEntries(values) } as Factors;
    const reason = await checkRecognition(recognition, factors);
    if (reason !== undefined) return reason;
    const names: string[] = [];
    for (const [name, numbers] of values) {
      const unique = this.names.unique(`${info.weight}.${name}`);
      names.push(unique);
      const tensor = { name: unique, dims: factorDims(shape, name), type: factorType };
      await this.store.add(tensor, encodeFactor(info, name, numbers, factorType));
    }
    const bytes = values.reduce((sum, [, numbers]) => sum + numbers.length, 0) * FLOAT_BYTES[factorType];
    return { factors: shape, interleaved, relativeError: 0, weightedError: 0, names, bytes };
  }
}
