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
  private readonly stored = new Map<string, Factorized>();

  constructor(
    private readonly store: TensorStore,
    private readonly names: Names,
  ) {}

  async get(info: LayerInfo, recognition: Recognition): Promise<Factorized | Reason> {
    const { spec, in: inputs, out } = recognition.structure;
    const numbers = FACTOR_NAMES[spec.structure].map(
      (name) => [name, factorNumbers(recognition.structure, name)] as const,
    );
    const bad = numbers.find(([, values]) => !values.every(Number.isFinite));
    if (bad !== undefined)
      return {
        code: 'weight-not-finite',
        message: `Its factor ${bad[0]} holds a number that is not finite.`,
      };
    const factors = { ...spec, in: inputs, out, ...Object.fromEntries(numbers) } as Factors;
    const reason = await checkRecognition(recognition, factors);
    if (reason !== undefined) return reason;
    const key = info.weightKey!;
    const stored = this.stored.get(key) ?? (await this.keep(info, recognition, factors));
    this.stored.set(key, stored);
    return stored;
  }

  private async keep(
    info: LayerInfo,
    { structure, factorType }: Recognition,
    { V, S, U, ...shape }: Factors,
  ): Promise<Factorized> {
    const names: string[] = [];
    for (const factor of FACTOR_NAMES[shape.structure]) {
      const name = this.names.unique(`${info.weight}.${factor}`);
      names.push(name);
      const bytes = encodeFactor(info, factor, { V, S, U }[factor]!, factorType);
      await this.store.add({ name, dims: factorDims(shape, factor), type: factorType }, bytes);
    }
    const bytes = (V.length + (S?.length ?? 0) + U.length) * FLOAT_BYTES[factorType];
    const { interleaved } = structure;
    return { factors: shape, interleaved, relativeError: 0, weightedError: 0, names, bytes };
  }
}
