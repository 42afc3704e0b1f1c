// Three layers that read one input (q, k and v): as three operators, and as one for the group.
//
// Low rank, since one operator exists that computes the group: Monarch with an output block for each sibling and one input block,
// V = [3, r, in] and U = [3·out, 1, r]. It reads X once and starts its threads once.
import type * as ort from 'onnxruntime-node';
import { storedFactors } from '../../graph-rewriter/stored-factors.js';
import { median, openSession, timeRound, waves } from './cells.js';
import { addOperator, productModel } from './models.js';

const SIBLINGS = 3;
const ROUNDS = 15;
/** Groups in a model: at 1 token their weights come from memory. */
const COPIES = 16;

const SIZES = [
  { name: 'minilm q, k, v', in: 384, out: 384, rank: 96 },
  { name: 'gpt2s q, k, v', in: 768, out: 768, rank: 192 },
  { name: 'llama1b q, k, v', in: 2048, out: 2048, rank: 512 },
] as const;

export interface Siblings {
  readonly name: string;
  readonly compute: string;
  readonly tokens: number;
  /** Milliseconds of three operators, and of one for the group. */
  readonly apart: number;
  readonly together: number;
}

type Size = (typeof SIZES)[number];
type Compute = 'float' | 'int8';

function groupModel(size: Size, together: boolean, compute: Compute): Uint8Array {
  const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i) * 0.1);
  const { in: n, rank } = size;
  const out = together ? SIBLINGS * size.out : size.out;
  const U = numbers(out * rank);
  const blocksOut = together ? SIBLINGS : 1;
  const structure = together ? 'monarch' : 'low-rank';
  const V = numbers(blocksOut * rank * n);
  const factors = { structure, blocksIn: 1, blocksOut, in: n, out, rank, V, U } as const;
  const stored = storedFactors(size.name, { factors }, compute === 'int8' ? 'int8' : 'float32', 1);
  return productModel(n, COPIES * (together ? 1 : SIBLINGS), (parts, i) =>
    addOperator(parts, structure, stored, i, compute),
  );
}

/** Both forms of every group, turn by turn. */
export async function measureSiblings(threads: number): Promise<Siblings[]> {
  const found: Siblings[] = [];
  for (const size of SIZES)
    for (const compute of ['float', 'int8'] as const) {
      const sessions: ort.InferenceSession[] = [];
      for (const together of [false, true])
        sessions.push(await openSession(groupModel(size, together, compute), threads));
      for (const tokens of [1, 16, 128]) {
        const X = waves(tokens, size.in);
        const times: [number[], number[]] = [[], []];
        for (let round = -1; round < ROUNDS; round++)
          for (const [i, session] of sessions.entries()) {
            const time = await timeRound(session, { X });
            if (round >= 0) times[i].push(time / COPIES);
          }
        const [apart, together] = times.map(median);
        found.push({ name: size.name, compute, tokens, apart, together });
      }
      for (const session of sessions) await session.release();
    }
  return found;
}
