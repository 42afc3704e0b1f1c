import { BlockrankError } from '../errors.js';
import { factorSize, blocksFit, largestRank } from './size.js';
import {
  METHODS,
  PRECONDITIONERS,
  STRUCTURES,
  type DenseWeight,
  type FactorizeRequest,
  type Factors,
  type StructureSpec,
} from './types.js';

/** Throws INVALID_ARGUMENT for a request that makes no sense, FACTORIZATION for one that cannot be met. */
export function checkRequest(request: FactorizeRequest): void {
  checkWeight(request.weight);
  checkSpec(request.weight, request.spec);
  checkScale(request.weight.out, request.outputScale);
  if (request.method !== undefined && !METHODS.includes(request.method))
    throw argument(`method is '${String(request.method)}'; expected one of ${METHODS.join(', ')}`);
  if (request.preconditioner !== undefined && !PRECONDITIONERS.includes(request.preconditioner))
    throw argument(
      `preconditioner is '${String(request.preconditioner)}'; expected one of ${PRECONDITIONERS.join(', ')}`,
    );
  const relaxation = request.relaxation?.find((value) => !(value > 0 && value < 2));
  if (relaxation !== undefined)
    throw argument(`relaxation holds ${relaxation}; expected numbers between 0 and 2`);
  if (request.initial && request.spec.structure === 'blast')
    checkInitial(request.weight, request.spec, request.initial);
  if (request.iterations !== undefined) checkCount('iterations', request.iterations, 0);
}

function checkWeight(weight: DenseWeight): void {
  checkCount('weight.in', weight.in, 1);
  checkCount('weight.out', weight.out, 1);
  const { length } = weight.data;
  if (length !== weight.in * weight.out)
    throw argument(
      `weight has ${length} values; expected out × in = ${weight.out}×${weight.in} = ${weight.out * weight.in}`,
    );
  const at = weight.data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw new BlockrankError(
      'FACTORIZATION',
      `weight holds ${weight.data[at]} at row ${Math.floor(at / weight.in)}, column ${at % weight.in}; only finite weights can be factorized`,
    );
}

function checkSpec(weight: DenseWeight, spec: StructureSpec): void {
  if (!STRUCTURES.includes(spec.structure))
    throw argument(`structure is '${String(spec.structure)}'; expected one of ${STRUCTURES.join(', ')}`);
  checkCount('rank', spec.rank, 1);
  checkCount('blocksIn', spec.blocksIn, 1);
  checkCount('blocksOut', spec.blocksOut, 1);
  if (spec.structure === 'low-rank' && (spec.blocksIn !== 1 || spec.blocksOut !== 1))
    throw argument(`low rank has one block; found blocksIn ${spec.blocksIn}, blocksOut ${spec.blocksOut}`);
  const shape = `${weight.out}×${weight.in}`;
  if (!blocksFit(weight, spec))
    throw new BlockrankError(
      'FACTORIZATION',
      `${spec.blocksOut}×${spec.blocksIn} blocks leave one without features in a ${shape} weight; use fewer blocks`,
    );
  const largest = largestRank(weight, spec);
  if (spec.rank <= largest) return;
  const advice = largest > 0 ? `use at most ${largest}` : 'no rank would: leave it dense or use fewer blocks';
  throw new BlockrankError(
    'FACTORIZATION',
    `rank ${spec.rank} of ${spec.structure} would not shrink a ${shape} weight ` +
      `(${factorSize(weight, spec)} numbers in place of ${weight.in * weight.out}); ${advice}`,
  );
}

function checkInitial(weight: DenseWeight, spec: StructureSpec, initial: Factors): void {
  const keys = ['structure', 'rank', 'blocksIn', 'blocksOut'] as const;
  const wrong = keys.find((key) => initial[key] !== spec[key]);
  if (wrong) throw argument(`initial has ${wrong} ${initial[wrong]}; expected the spec's, ${spec[wrong]}`);
  if (initial.in !== weight.in || initial.out !== weight.out)
    throw argument(
      `initial is of a ${initial.out}×${initial.in} weight; expected ${weight.out}×${weight.in}`,
    );
  const { rank, blocksIn, blocksOut } = spec;
  const lengths = { V: rank * weight.in, S: blocksOut * blocksIn * rank, U: weight.out * rank };
  for (const name of ['V', 'S', 'U'] as const)
    if (initial[name]?.length !== lengths[name])
      throw argument(`initial.${name} has ${initial[name]?.length ?? 0} values; expected ${lengths[name]}`);
}

function checkScale(out: number, scale?: Float32Array): void {
  if (!scale) return;
  if (scale.length !== out) throw argument(`outputScale has ${scale.length} values; expected out = ${out}`);
  const at = scale.findIndex((value) => !(value > 0 && value < Infinity));
  if (at >= 0) throw argument(`outputScale[${at}] is ${scale[at]}; expected a positive finite number`);
}

function checkCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw argument(`${name} is ${value}; expected an integer of at least ${least}`);
}

const argument = (message: string) => new BlockrankError('INVALID_ARGUMENT', message);
