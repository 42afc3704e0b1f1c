// The nodes that go behind a model's own: loss, backward pass, and a sum of squares for each layer.
import onnxProto from 'onnx-proto';
import { BlockrankError } from '../errors.js';
import { findLayers } from '../layers.js';
import type { Model } from '../model.js';
import { MODEL, OPSET } from '../schema.js';
import { differentiate, findPaths } from './backward.js';
import { CONTRIB_DOMAIN, GradientBuilder, OLDEST_OPSET, type Value } from './builder.js';
import { type Loss, seedOf } from './loss.js';
import { chooseObserved, observe, positionInputs } from './observed.js';

const { onnx } = onnxProto;
const FLOAT = 1;

export const energyOutput = (index: number) => `blockrank.gradient.energy.${index}`;
export const ROWS_OUTPUT = 'blockrank.gradient.rows';

export interface LossOptions {
  readonly loss?: Loss;
  readonly seed?: number;
  /** As `calibration/mask.ts` has it. */
  readonly mask?: string | false;
}

export interface GradientModel {
  /** Bytes to put behind the model's (see calibration/tap.ts). */
  readonly fields: Uint8Array;
  /** Ids of the layers with a gradient: number `index` has the output `energyOutput(index)`. */
  readonly layers: readonly string[];
  readonly loss: Loss;
  /** Nodes without a rule on the way to the outputs; what enters them is observed too, in the squared loss. */
  readonly blocked: readonly string[];
}

/** Throws UNSUPPORTED_MODEL before opset 13, INVALID_ARGUMENT for a loss that the model has no outputs for. */
export function gradientModel(
  model: Model,
  ids: ReadonlySet<string>,
  { loss, seed = 1, mask }: LossOptions = {},
): GradientModel {
  if (model.opset < OLDEST_OPSET)
    throw new BlockrankError(
      'UNSUPPORTED_MODEL',
      `Gradients need opset ${OLDEST_OPSET}; ${model.source.path} has ${model.opset}. Convert it, or choose forward sensitivities.`,
    );
  const b = new GradientBuilder(model.opset);
  const { graph } = model;
  const products = productOutputs(model, ids);
  const chosen = chooseObserved(model, loss);
  const paths = findPaths(
    graph,
    model.opset,
    products.values(),
    chosen.map(({ value }) => value),
  );
  const observed = [...chosen, ...paths.ends.map((value) => observe(value, undefined, 'squared'))].filter(
    ({ value }) => paths.values.has(value),
  );
  const context = { b, seed, ...positionInputs(model, mask) };
  if (loss === 'next-token' && context.tokens === undefined)
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `The loss next-token needs tokens; ${model.source.path} has no int64 input 'input_ids' of two axes. Choose distribution.`,
    );
  const seeds = observed.map((value) => [value.value, seedOf(value, context)] as const);
  const gradients = differentiate(
    graph,
    b,
    paths,
    seeds.map(([value, { gradient }]) => [value, gradient]),
  );
  const layers = [...products].flatMap(([id, value]) => {
    const gradient = gradients.get(value);
    return gradient === undefined ? [] : [{ id, gradient }];
  });
  layers.forEach(({ gradient }, index) =>
    b.named(energyOutput(index), energy(b, gradient, context.mask !== undefined)),
  );
  if (seeds.length > 0) b.named(ROWS_OUTPUT, seeds[0][1].rows);
  return {
    fields: encode(model, b, layers.length),
    layers: layers.map(({ id }) => id),
    loss: chosen[0]?.loss ?? 'squared',
    blocked: paths.blocked.map((node) => node.label),
  };
}

/** By layer id, the value that the product makes, before bias and activation; bodies' are out of reach. */
function productOutputs(model: Model, ids: ReadonlySet<string>): Map<string, Value> {
  const outputs = findLayers(model).flatMap(({ info, match }) =>
    ids.has(info.id) && match?.graph === model.graph ? [[info.id, match.nodes[0].outputs[0]] as const] : [],
  );
  return new Map(outputs);
}

/**
 * Σ g² over the rows, [out] in float32. Rows that a mask leaves out have g = 0 unless they hold NaN; in rows that count the
 * collection of covariances has looked for those.
 */
function energy(b: GradientBuilder, gradient: Value, isMasked: boolean): Value {
  const whole = b.float(gradient);
  const g = isMasked ? b.op('Where', [b.op('IsNaN', [whole]), b.scalar(0, whole), whole]) : whole;
  const rows = b.reshape(g, b.op('Concat', [b.ints(-1), b.length(g, -1)], [{ name: 'axis', type: 2, i: 0 }]));
  return b.op('ReduceSum', [b.mul(rows, rows), b.ints(0)], [{ name: 'keepdims', type: 2, i: 0 }]);
}

function encode(model: Model, b: GradientBuilder, layers: number): Uint8Array {
  const names = [...Array.from({ length: layers }, (_, index) => energyOutput(index)), ROWS_OUTPUT];
  const output =
    layers === 0 ? [] : names.map((name) => ({ name, type: { tensorType: { elemType: FLOAT } } }));
  const hasContrib = model.message
    .messages(MODEL.opsetImport)
    .some((opset) => opset.string(OPSET.domain) === CONTRIB_DOMAIN);
  const opsetImport = hasContrib ? [] : [{ domain: CONTRIB_DOMAIN, version: 1 }];
  return onnx.ModelProto.encode(
    onnx.ModelProto.fromObject({ graph: { node: b.nodes, output }, opsetImport }),
  ).finish();
}
