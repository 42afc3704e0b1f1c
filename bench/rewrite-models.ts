// Models for bench/rewrite.ts: one small layer beside a chain of large ones, whose weights of 16 MiB all hold the same random numbers.
import { randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import onnxProto, { type onnx } from 'onnx-proto';
import { initializerField } from '../graph-rewriter/encode.js';
import { MODEL, TENSOR } from '../graph-rewriter/schema.js';
import { AtomicFile } from '../graph-rewriter/wire/atomic-file.js';
import { delimited } from '../graph-rewriter/wire/pieces.js';

const { onnx: proto } = onnxProto;
const MIB = 2 ** 20;
const WIDTH = 2048;
const WEIGHT = 4 * WIDTH * WIDTH;
const SMALL = 64;
const HEADER = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }] };

/** Every weight in model.data. Returns the model's path. */
export function writeExternal(folder: string, mebibytes: number): string {
  const file = openSync(join(folder, 'model.data'), 'w');
  const [small, large] = [randomWeight(SMALL), randomWeight(WIDTH)];
  let offset = 0;
  const initializer = widths(mebibytes).map((width, i): onnx.ITensorProto => {
    const bytes = width === SMALL ? small : large;
    writeSync(file, bytes, 0, bytes.length, offset);
    const place = { location: 'model.data', offset, length: bytes.length };
    offset += bytes.length;
    const externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
    return { ...described(width, i), externalData, dataLocation: 1 };
  });
  fsyncSync(file);
  closeSync(file);
  const path = join(folder, 'model.onnx');
  const graph = { ...chain(mebibytes), initializer };
  writeFileSync(path, proto.ModelProto.encode({ ...HEADER, graph }).finish());
  return path;
}

/** Every weight in the file itself, which may be larger than protobuf's writers make. */
export async function writeInline(path: string, mebibytes: number): Promise<void> {
  const [small, large] = [randomWeight(SMALL), randomWeight(WIDTH)];
  const initializers = widths(mebibytes).flatMap((width, i) =>
    initializerField(described(width, i), delimited(TENSOR.rawData, [width === SMALL ? small : large])),
  );
  const graph = proto.GraphProto.encode(chain(mebibytes)).finish();
  const file = await AtomicFile.create(path);
  await file.writePieces([
    proto.ModelProto.encode(HEADER).finish(),
    ...delimited(MODEL.graph, [graph, ...initializers]),
  ]);
  await file.commit(path);
}

function widths(mebibytes: number): number[] {
  return [SMALL, ...Array<number>(Math.floor((mebibytes * MIB) / WEIGHT)).fill(WIDTH)];
}

const described = (width: number, i: number) => ({ name: `w${i}`, dims: [width, width], dataType: 1 });

/** Without the activations the chain would be one product, which the recogniser would look through. */
function chain(mebibytes: number): onnx.IGraphProto {
  const all = widths(mebibytes);
  const node = all.flatMap((width, i) => [
    {
      opType: 'MatMul',
      name: i === 0 ? 'small' : `large${i}`,
      input: [i < 2 ? `x${width}` : `v${i - 1}`, `w${i}`],
      output: [`m${i}`],
    },
    { opType: 'Relu', input: [`m${i}`], output: [`v${i}`] },
  ]);
  const value = (name: string, width: number) => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }, { dimValue: width }] } } },
  });
  const input = [value(`x${SMALL}`, SMALL), value(`x${WIDTH}`, WIDTH)];
  return { name: 'chain', node, input, output: [value('v0', SMALL), value(`v${all.length - 1}`, WIDTH)] };
}

/** Numbers in [1, 2): random bits below the exponent. */
function randomWeight(width: number): Uint8Array {
  const bits = randomFillSync(new Uint32Array(width * width));
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] & 0x7fffff) | 0x3f800000;
  return new Uint8Array(bits.buffer);
}
