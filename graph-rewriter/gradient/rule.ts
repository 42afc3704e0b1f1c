// What a rule of differentiation knows of the node that it goes back through.
import type { Graph } from '../graph.js';
import type { Node } from '../node.js';
import type { GradientBuilder, Value } from './builder.js';

export interface Step {
  readonly node: Node;
  readonly graph: Graph;
  readonly b: GradientBuilder;
  /** Gradient of output 0; of other outputs with `gradients`. */
  readonly g: Value;
  /** By output; undefined where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Input and output 0. */
  readonly x: Value;
  readonly y: Value;
}

/** A vector–Jacobian product for each input: the gradient of the loss with respect to it. Only those wanted are called; undefined: no gradient is defined for that input. */
export type Rule = (step: Step) => readonly ((() => Value) | undefined)[];

export type Rules = Readonly<Record<string, Rule>>;

/** Every input in turn has the gradient `of` its index. */
export function forEachInput({ node }: Step, of: (index: number) => Value): (() => Value)[] {
  return node.inputs.map((_, index) => () => of(index));
}

/** Dimensions of a constant: an initializer or a Constant node's. */
export { constantDims, constantIntegers } from './constant.js';
