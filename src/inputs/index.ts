// Model inputs for `validate` and for calibration: from files, else seeded random ones.
import type * as ort from 'onnxruntime-node';
import { BlockrankError } from '../../graph-rewriter/errors.js';
import { findDataSets, readDataSet, type StoredDataSet } from './data-sets.js';
import { describeTensor, toOrtTensor, type TensorValue } from './element-types.js';
import type { ModelInput } from './model-inputs.js';
import type { NamedTensor } from './tensor-proto.js';
import { loadOnnxRuntime } from '../../graph-rewriter/onnxruntime.js';
import { randomInput, seededRandom } from './random.js';
import { resolveShapes, shapeFits, type Shapes } from './shapes.js';

export { readGraphInputs, readGraphOutputs, readModelInputs, type ModelInput } from './model-inputs.js';
export { parseShape, type Shapes } from './shapes.js';

/** One set of feeds, and the outputs that are expected of the original where the source states them. */
export interface DataSet {
  readonly name: string;
  readonly inputs: Record<string, ort.Tensor>;
  readonly expected: Record<string, ort.Tensor>;
}

export interface InputOptions {
  /** ONNX `test_data_set_*` folders, folders that hold them, `.npz` files or folders of these. None: random inputs. */
  readonly paths?: readonly string[];
  /** Shapes for random inputs of models with open dimensions. */
  readonly shapes?: Shapes;
  readonly seed?: number;
  /** How many random data sets; 1 when absent. */
  readonly count?: number;
}

/**
 * Data sets for a model with `inputs` and `outputs`, one in memory at a time.
 * Names decide which tensor is which; .pb files without a name go by position.
 * @throws BlockrankError INVALID_INPUTS naming the input with the type and shape expected and found
 */
export async function* loadDataSets(
  inputs: readonly ModelInput[],
  outputs: readonly string[],
  options: InputOptions = {},
): AsyncGenerator<DataSet> {
  const runtime = loadOnnxRuntime();
  if (options.paths?.length) {
    for (const path of await findDataSets(options.paths)) {
      const stored = await readDataSet(path);
      yield matchToModel(stored, inputs, outputs, runtime);
    }
    return;
  }
  const seed = options.seed ?? 0;
  const random = seededRandom(seed);
  const shapes = resolveShapes(inputs, options.shapes ?? {});
  for (let index = 0; index < (options.count ?? 1); index++) {
    const feeds = inputs.map(
      (input) => [input.name, randomInput(input, shapes.get(input.name)!, random)] as const,
    );
    yield { name: `random ${index} (seed ${seed})`, inputs: toTensors(feeds, runtime), expected: {} };
  }
}

function matchToModel(
  stored: StoredDataSet,
  inputs: readonly ModelInput[],
  outputs: readonly string[],
  runtime: typeof ort,
): DataSet {
  const inputNames = inputs.map((input) => input.name);
  // An .npz has no other place for expected outputs than beside the inputs, under the output's name.
  const isOutput = (tensor: NamedTensor) =>
    !inputNames.includes(tensor.name) && outputs.includes(tensor.name);
  const given = stored.inputs.filter((tensor) => !isOutput(tensor));
  const expected = [...stored.outputs, ...stored.inputs.filter(isOutput)];
  const feeds = assignNames(given, inputNames, `${stored.path}: an input`);
  for (const input of inputs) checkFeed(stored.path, input, feeds.get(input.name));
  return {
    name: stored.name,
    inputs: toTensors(feeds, runtime),
    expected: toTensors(assignNames(expected, outputs, `${stored.path}: an expected output`), runtime),
  };
}

function assignNames(
  tensors: readonly NamedTensor[],
  names: readonly string[],
  what: string,
): Map<string, TensorValue> {
  const assigned = new Map<string, TensorValue>();
  tensors.forEach((tensor, position) => {
    const name = tensor.name || names[position];
    if (!names.includes(name)) {
      throw new BlockrankError(
        'INVALID_INPUTS',
        `${what} is called '${tensor.name || `number ${position}`}', and the model has ${names.map((n) => `'${n}'`).join(', ')}`,
      );
    }
    assigned.set(name, tensor.value);
  });
  return assigned;
}

function checkFeed(path: string, input: ModelInput, found: TensorValue | undefined): void {
  const wanted = describeTensor({
    type: input.type,
    dims: (input.shape ?? ['…']).map((dim) => (dim === '' ? '?' : dim)),
  });
  if (!found) {
    throw new BlockrankError(
      'INVALID_INPUTS',
      `${path}: input '${input.name}' is missing (expected ${wanted})`,
    );
  }
  if (found.type !== input.type || !shapeFits(input.shape, found.dims)) {
    throw new BlockrankError(
      'INVALID_INPUTS',
      `${path}: input '${input.name}' must be ${wanted}, and the file has ${describeTensor(found)}`,
    );
  }
}

function toTensors(
  values: Iterable<readonly [string, TensorValue]>,
  runtime: typeof ort,
): Record<string, ort.Tensor> {
  return Object.fromEntries([...values].map(([name, value]) => [name, toOrtTensor(runtime, value)]));
}
