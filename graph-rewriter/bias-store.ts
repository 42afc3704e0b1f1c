// Biases in the form that the operators take: a vector of [out] or [1] in the type of X.
import { constantNumbers, formOf } from './constants.js';
import { encodeFloats } from './floats.js';
import type { Names } from './names.js';
import type { Bias, Match } from './rule.js';
import type { TensorStore } from './tensor-store.js';
import type { FloatFactorType } from './types.js';
import type { Message } from './wire/message.js';

export class BiasStore {
  private readonly made = new Map<string, string>();
  /** Each stored tensor by number. */
  private readonly stored = new Map<Message, number>();

  constructor(
    private readonly store: TensorStore,
    private readonly names: Names,
  ) {}

  /** The name of the bias itself where it fits as it is, else of a scaled, flattened copy. */
  async name(bias: Bias, type: FloatFactorType): Promise<string> {
    const { constant } = bias;
    if (constant.dims.length === 1 && bias.scale === 1) {
      // Read for its checks: data that does not fit its shape must not become part of a new node.
      constantNumbers(constant);
      return bias.name;
    }
    const wanted = `${constant.name}${formOf(constant)}.row${bias.scale === 1 ? '' : ` times ${bias.scale}`}`;
    // Bodies may hold different biases of one name: where they are stored tells them apart.
    const { message } = constant.tensor;
    if (!this.stored.has(message)) this.stored.set(message, this.stored.size);
    const key = `${this.stored.get(message)} ${wanted}`;
    return this.make(key, wanted, type, () => constantNumbers(constant).map((value) => value * bias.scale));
  }

  /** The match's bias, or zeros, with scale · `shift` [out] added. */
  async shifted(
    { bias, scale, output, out }: Match,
    shift: Float32Array,
    type: FloatFactorType,
  ): Promise<string> {
    const own = bias && constantNumbers(bias.constant);
    const name = this.names.unique(bias ? `${bias.constant.name}.shifted` : `${output}.shift`);
    const row = Float32Array.from({ length: out }, (_, o) => {
      const before = own === undefined ? 0 : own[own.length === 1 ? 0 : o] * bias!.scale;
      return before + scale * shift[o];
    });
    await this.store.add({ name, dims: [out], type }, encodeFloats(row, type));
    return name;
  }

  /** For nodes without a bias where the function of their name takes one. */
  zero(type: FloatFactorType): Promise<string> {
    const name = `blockrank.zero.${type}`;
    return this.make(name, name, type, () => new Float32Array(1));
  }

  private async make(
    key: string,
    wanted: string,
    type: FloatFactorType,
    values: () => Float32Array,
  ): Promise<string> {
    let name = this.made.get(key);
    if (name === undefined) {
      name = this.names.unique(wanted);
      this.made.set(key, name);
      const row = values();
      await this.store.add({ name, dims: [row.length], type }, encodeFloats(row, type));
    }
    return name;
  }
}
