// Which layers of a plan the walk changes.
import { isFloatType } from '../floats.js';
import type { Graph } from '../graph.js';
import type { Layer } from '../layers.js';
import type { Match } from '../rule.js';
import type { LayerInfo, LayerPlan, ReasonCode } from '../types.js';
import type { Member } from './groups.js';

/** Layers that the planner would have replaced, had it paid; not those that somebody wanted left alone. */
const REFITTED: readonly ReasonCode[] = [
  'kept-by-plan',
  'worth-its-bytes',
  'rank-does-not-shrink',
  'slower-than-dense',
  'blocks-do-not-fit',
  'too-small',
];

/** Products with the rows of X as the layer's samples and its weight as their second operand. */
const PRODUCTS = ['MatMul', 'Gemm', 'FusedMatMul', 'FusedGemm'];

/** `plans` are those of `layers`, in their order. */
export function candidates(
  graph: Graph,
  layers: readonly Layer[],
  plans: readonly LayerPlan[],
  refit: boolean,
): Candidate[] {
  return layers.flatMap(({ info, match }, i): Candidate[] => {
    const plan = plans[i];
    if (match?.graph !== graph || match.axes !== undefined) return [];
    const operand = match.nodes[0].inputs.indexOf(match.weightName);
    const isShared = layers.some((other) => sharesWeight(info, match, other));
    const isOneShot = isShared || !isWalked(match);
    const member = { info, match, plan, isShared, isOneShot, operand };
    if ('spec' in plan) return [member];
    const isAlone = layers.every((other) => other.info.id === info.id || !readsSameTensor(match, other));
    const isRefitted =
      refit &&
      !isOneShot &&
      isAlone &&
      match.tied === undefined &&
      REFITTED.includes(plan.keep.code) &&
      isStoredAsFloat(info);
    return isRefitted ? [member] : [];
  });
}

function isWalked({ nodes: [product], input, weightName, before, after }: Match): boolean {
  const isPlain = !before?.length && !after?.length;
  const [x, weight] = product.inputs;
  return isPlain && PRODUCTS.includes(product.opType) && x === input && weight === weightName;
}

type Candidate = Omit<Member, 'residuals'>;

/** Layers that read the same tensor see the same statistics: only others make a weight shared. */
function sharesWeight(info: LayerInfo, match: Match, other: Layer): boolean {
  return (
    other.info.weightKey === info.weightKey &&
    (other.match?.graph !== match.graph || other.match.input !== match.input)
  );
}

function readsSameTensor(match: Match, other: Layer): boolean {
  return other.match?.weight.tensor.message === match.weight.tensor.message;
}

function isStoredAsFloat({ stored }: LayerInfo): boolean {
  return stored === undefined || isFloatType(stored.dtype);
}
