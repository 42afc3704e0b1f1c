// Which of a model's values the loss looks at, and how: chosen from names and declarations where the caller does not say.
import { maskInput } from '../calibration/mask.js';
import { BlockrankError } from '../errors.js';
import type { Graph } from '../graph.js';
import type { Model } from '../model.js';
import { GRAPH, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from '../schema.js';
import type { Message } from '../wire/message.js';
import type { Context, Loss, Observed } from './loss.js';

/** float32, float16, float64, bfloat16 */
const FLOATING = [1, 10, 11, 16];
const INT64 = 7;

interface Declared {
  readonly name: string;
  readonly type: number;
  readonly rank: number | undefined;
}

/**
 * Logits, where there are any, are observed alone: an output called so, or what enters the Softmax or LogSoftmax that makes an
 * output. Else all floating outputs in the squared loss, without a cache's.
 */
export function chooseObserved(model: Model, loss?: Loss): Observed[] {
  const outputs = declared(model, GRAPH.output).filter(({ type }) => FLOATING.includes(type));
  const logits = outputs.flatMap((output) => logitsOf(model.graph, output) ?? []);
  if (loss !== 'squared' && logits.length > 0)
    return logits.slice(0, 1).map((value) => ({ ...value, loss: loss ?? 'distribution' }));
  if (loss !== undefined && loss !== 'squared')
    throw new BlockrankError(
      'INVALID_ARGUMENT',
      `The loss ${loss} needs logits; ${model.source.path} has the outputs ${outputs.map(({ name }) => name).join(', ')}, of which none is called so or made by a Softmax. Choose squared.`,
    );
  const own = outputs.filter(({ name }) => !/^present/.test(name));
  return (own.length ? own : outputs).map(({ name, rank }) => observe(name, rank, 'squared'));
}

export function observe(value: string, rank: number | undefined, loss: Loss): Observed {
  return { value, loss, ...(rank === undefined ? {} : { rank }) };
}

function logitsOf(graph: Graph, { name, rank }: Declared): Observed | undefined {
  const maker = graph.producer(name);
  const isLast = maker && (maker.int('axis', -1) === -1 || maker.int('axis', -1) + 1 === rank);
  if (maker && isLast && (maker.is('Softmax') || maker.is('LogSoftmax')))
    return observe(maker.inputs[0], rank, 'distribution');
  return /logits/i.test(name) ? observe(name, rank, 'distribution') : undefined;
}

/** The model's inputs that say which positions count, and what follows each. */
export function positionInputs(model: Model, asked?: string | false): Pick<Context, 'mask' | 'tokens'> {
  const inputs = declared(model, GRAPH.input).filter(({ type, rank }) => type === INT64 && rank === 2);
  const mask = maskInput(model.graph.inputs, asked);
  const tokens = inputs.find(({ name }) => name === 'input_ids')?.name;
  return {
    ...(mask === undefined || !inputs.some(({ name }) => name === mask) ? {} : { mask }),
    ...(tokens === undefined ? {} : { tokens }),
  };
}

function declared(model: Model, field: number): Declared[] {
  const graph = model.graph.message;
  return graph.messages(field).map((info: Message) => {
    const tensor = info.message(VALUE_INFO.type)?.message(TYPE.tensor);
    const rank = tensor?.message(TENSOR_TYPE.shape)?.messages(SHAPE.dim).length;
    return { name: info.string(VALUE_INFO.name), type: tensor?.int(TENSOR_TYPE.elemType) ?? 0, rank };
  });
}
