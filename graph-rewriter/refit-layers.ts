// Layers that stay dense with new numbers: their product reads a new initializer.
import onnxProto from 'onnx-proto';
import { BlockrankError } from './errors.js';
import type { Names } from './names.js';
import { operandOf } from './operand.js';
import type { Match } from './rule.js';
import type { Swap } from './swap.js';
import type { TensorStore } from './tensor-store.js';
import type { LayerInfo, RefitLayer } from './types.js';

export class RefitLayers {
  constructor(
    private readonly refit: RefitLayer | undefined,
    private readonly store: TensorStore,
    private readonly names: Names,
  ) {}

  /** Stores the new numbers in the weight's own type; undefined where the layer is left as it is. */
  async get(info: LayerInfo, match: Match): Promise<Swap | undefined> {
    const data = await this.refit?.(info);
    if (data === undefined) return undefined;
    if (data.length !== match.in * match.out || data.some((value) => !Number.isFinite(value)))
      throw new BlockrankError(
        'FACTORIZATION',
        `The new weight of ${info.id} has ${data.length} numbers, or some that are not finite; expected [${match.out}, ${match.in}].`,
      );
    const { dims, type, bytes } = operandOf(match, data);
    const name = this.names.unique(`${match.weight.name}.refit`);
    await this.store.add({ name, dims, type }, bytes);
    const [product] = match.nodes;
    const { source, start, end } = product.message;
    const node = onnxProto.onnx.NodeProto.decode(source.read(start, end));
    node.input[1] = name;
    return { graph: match.graph, old: [product], replacements: [withoutDocumentation(node)], main: 0 };
  }
}

/** The swap copies documentation and metadata as bytes. */
function withoutDocumentation(node: ReturnType<typeof onnxProto.onnx.NodeProto.decode>) {
  const { input, output, name, opType, domain, attribute } = node;
  return { input, output, name, opType, domain, attribute };
}
