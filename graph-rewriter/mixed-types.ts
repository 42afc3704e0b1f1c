// Before opset 15 a portable function cannot adapt to the type of its input, so all nodes of one operator name must agree on it.
import { operatorName } from './operator-name.js';
import type { LayerInfo, LayerPlan, ModelInfo } from './types.js';

/** CastLike, the operator that adapts, came with this opset. */
export const CAST_LIKE_OPSET = 15;

/** Keeps layers dense whose type is not the one that most layers of the same operator have. */
export function keepMixedTypes(info: ModelInfo, layers: readonly LayerPlan[]): LayerPlan[] {
  if (info.opset >= CAST_LIKE_OPSET) return [...layers];
  const nameOf = (layer: LayerInfo, plan: LayerPlan) =>
    'spec' in plan
      ? operatorName(plan.spec.structure, layer.activation, false, plan.factorType === 'int8')
      : undefined;
  const types = new Map<string, string[]>();
  layers.forEach((plan, i) => {
    const name = nameOf(info.layers[i], plan);
    if (name !== undefined) types.set(name, [...(types.get(name) ?? []), info.layers[i].dtype]);
  });
  return layers.map((plan, i) => {
    const { id, dtype } = info.layers[i];
    const name = nameOf(info.layers[i], plan);
    const common = name === undefined ? dtype : mostCommon(types.get(name)!);
    if (dtype === common) return plan;
    const message = `Its type is ${dtype} while most layers that become ${name!} are ${common}; before opset ${CAST_LIKE_OPSET} they must agree.`;
    return { id, keep: { code: 'weight-type', message } };
  });
}

function mostCommon(values: readonly string[]): string {
  const count = (value: string) => values.filter((v) => v === value).length;
  return values.reduce((best, value) => (count(value) > count(best) ? value : best));
}
