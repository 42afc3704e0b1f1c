// The constant terms of a layer as its bias. A bias b₁ between the factors is U·b₁ after them: exact maths, so it is folded.
import type { Bias } from '../rule.js';
import type { Axis, Term } from './form.js';
import { rowNumbers } from './numbers.js';
import type { Structure } from './structure.js';

export function biasOf({ constants, row }: Structure, dtype: string): Bias | undefined {
  if (constants.length === 0) return undefined;
  const stored = constants.length === 1 ? storedRow(constants[0], row, dtype) : undefined;
  if (stored !== undefined) return stored;
  const tensors = constants.flatMap(({ factors }) => factors.map(({ tensor }) => tensor));
  const name = tensors.at(-1)?.name ?? 'bias';
  return {
    name: `${name}.row`,
    key: JSON.stringify([
      constants.map(({ coefficient }) => coefficient),
      tensors.map(({ tensor }) => tensor.message.start),
    ]),
    numbers: () => Float32Array.from(rowNumbers(constants, row)),
  };
}

/** A vector that can be read as it stands in the model. */
function storedRow({ coefficient, factors }: Term, row: Axis, dtype: string): Bias | undefined {
  const [factor, ...others] = factors;
  if (factor === undefined || others.length > 0 || coefficient !== 1) return undefined;
  const { tensor, axes } = factor;
  const isRow =
    axes.length === 1 && axes[0].length === row.length && row.every((index, i) => index === axes[0][i]);
  if (!isRow || tensor.tensor.dtype !== dtype) return undefined;
  const { dims } = tensor.tensor;
  return {
    name: tensor.name,
    constant: { ...tensor, dims, dtype, transposed: false, conversions: [] },
    scale: 1,
  };
}
