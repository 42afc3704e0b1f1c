// What a form of x computes, as one of the operators of docs/operators.md.
import type { StructureSpec } from '../factorize/types.js';
import { sizePerRank } from '../structure-size.js';
import type { Reason } from '../types.js';
import { asBlast } from './blast.js';
import { type Axis, count, type Factor, type Form, type Index, indicesOf, type Term } from './form.js';
import { joinTerms } from './join.js';
import { asLowRank } from './low-rank.js';
import { asMonarch } from './monarch.js';
import { common } from './sets.js';
import { isKnown } from './size.js';

/** A stored tensor, read in the order in which the operator wants its indices. */
export interface Reading extends Factor {
  readonly order: readonly Index[];
}

/** V, S and U of one term, each with the term's own rank. */
export interface Part {
  readonly rank: number;
  readonly coefficient: number;
  readonly V: Reading;
  /** Of BLAST; absent where all its numbers are 1. */
  readonly S?: Reading;
  readonly U: Reading;
}

export interface Structure {
  readonly spec: StructureSpec;
  readonly in: number;
  readonly out: number;
  readonly interleaved: boolean;
  /** Terms whose sum the operator computes: their factors stand beside each other along the rank. */
  readonly parts: readonly [Part, ...Part[]];
  /** Constant terms: the bias, over the indices of `row`. */
  readonly constants: readonly Term[];
  readonly row: Axis;
  /** Type of the result where a Cast set it. */
  readonly type?: string;
}

/** A term of x as an operator: its parts, and how many blocks it has. */
export interface Candidate extends Pick<Structure, 'interleaved'> {
  readonly structure: StructureSpec['structure'];
  readonly blocksIn: number;
  readonly blocksOut: number;
  readonly part: Part;
}

/** Why a form is no operator's, where it comes near one. */
export type NearMiss = Reason;

/** Of a form with x's own leading axes. Undefined: it has nothing of a factorized layer. */
export function structureOf(form: Form): Structure | NearMiss | undefined {
  const terms = form.terms.filter(({ input }) => input !== undefined);
  if (terms.length === 0 || !keepsTokens(form)) return undefined;
  const output = form.axes.at(-1)!;
  const candidates: Candidate[] = [];
  for (const term of terms) {
    const candidate = candidateOf(term, term.input!.at(-1)!, output);
    if (candidate === undefined || 'code' in candidate) return candidate;
    candidates.push(candidate);
  }
  const joined = joinTerms(candidates);
  if (joined === undefined) return undefined;
  const shape = { in: count(terms[0].input!.at(-1)!), out: count(output) };
  // A middle that is not small: the product of the factors has fewer numbers than they have.
  if (joined.spec.rank * sizePerRank(shape, joined.spec) >= shape.in * shape.out) return undefined;
  const constants = form.terms.filter(({ input }) => input === undefined);
  return { ...shape, ...joined, constants, row: output, ...(form.type && { type: form.type }) };
}

function candidateOf(term: Term, input: Axis, output: Axis): Candidate | NearMiss | undefined {
  if (![...input, ...output].every((index) => isKnown(index.size))) return undefined;
  if (term.factors.length > 1 && common(input, new Set(output)).length > 0) return blockDiagonal;
  if (term.factors.length === 2) return asLowRank(term, input, output) ?? asMonarch(term, input, output);
  return term.factors.length === 3 ? asBlast(term, input, output) : undefined;
}

const blockDiagonal: NearMiss = {
  code: 'factors-unlike-operator',
  message:
    'Each block of its output depends on one block of its input alone; the operators sum over all of them.',
};

/** Every term of x runs over the output's leading axes as x does, and nothing else depends on them. */
function keepsTokens({ axes, terms }: Form): boolean {
  const leading = axes.slice(0, -1);
  const tokens = new Set(leading.flat());
  return (
    axes.length > 0 &&
    terms.every((term) => {
      const isTokenless = [...indicesOf({ ...term, input: [] })].every((index) => !tokens.has(index));
      const { input } = term;
      const isAligned =
        input === undefined ||
        (input.length === axes.length && leading.every((axis, i) => isSameAxis(axis, input[i])));
      return isTokenless && isAligned;
    })
  );
}

function isSameAxis(a: Axis, b: Axis): boolean {
  return a.length === b.length && a.every((index, i) => index === b[i]);
}
