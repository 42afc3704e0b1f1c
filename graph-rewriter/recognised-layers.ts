// Takes over the factors of layers that are factorized already: each distinct one once, checked against the layer's own nodes.
import type { Factorized } from './factorized-layers.js';
import type { Factors } from './factorize/types.js';
import { FACTOR_NAMES } from './functions/factor-inputs.js';
import type { Names } from './names.js';
import { checkRecognition } from './recognise/check.js';
import type { Recognition } from './recognise/index.js';
import { factorNumbers } from './recognise/numbers.js';
import { storedFactors } from './stored-factors.js';
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
    factors: Factors,
  ): Promise<Factorized> {
    const names: string[] = [];
    const stored = storedFactors(info.id, { factors }, factorType, 1);
    for (const { name, bytes, ...tensor } of stored) {
      names.push(this.names.unique(`${info.weight}.${name}`));
      await this.store.add({ ...tensor, name: names.at(-1)! }, bytes);
    }
    return {
      factors: { ...structure.spec, in: structure.in, out: structure.out },
      interleaved: structure.interleaved,
      errors: { relativeError: 0, weightedError: 0 },
      names,
      bytes: stored.reduce((sum, { bytes }) => sum + bytes.length, 0),
    };
  }
}
