// A plan as JSON: read with checks that name the field, written one layer a line.
import { BlockrankError } from './errors.js';
import { type Structure, STRUCTURES, type StructureSpec } from './factorize/types.js';
import {
  type Compute,
  COMPUTES,
  FACTOR_TYPES,
  type FactorType,
  type LayerPlan,
  type Prediction,
  type Reason,
  REASON_CODES,
  type ReasonCode,
  type RewritePlan,
} from './types.js';

type Fields = Record<string, unknown>;

/** Reads a plan from JSON; throws INVALID_PLAN naming the field at fault. */
export function parsePlan(text: string): RewritePlan {
  const plan = fields(parseJson(text), 'the plan');
  if (plan.version !== 1) throw wrong('version', '1', plan.version);
  if (typeof plan.source !== 'string' || !/^[0-9a-f]{64}$/.test(plan.source))
    throw wrong('source', 'a SHA-256 of 64 hex digits', plan.source);
  if (!Array.isArray(plan.layers)) throw wrong('layers', 'a list', plan.layers);
  const layers = plan.layers.map((layer: unknown, i) =>
    parseLayer(fields(layer, `layers[${i}]`), `layers[${i}]`),
  );
  const ids = layers.map((layer) => layer.id);
  const repeated = ids.findIndex((id, i) => ids.indexOf(id) !== i);
  if (repeated >= 0) throw wrong(`layers[${repeated}].id`, 'each layer once', ids[repeated]);
  return { version: 1, source: plan.source, layers };
}

/** The plan as JSON, one layer a line. */
export function formatPlan(plan: RewritePlan): string {
  const layers = plan.layers.map((layer) => `    ${JSON.stringify(layer)}`).join(',\n');
  return `{\n  "version": 1,\n  "source": "${plan.source}",\n  "layers": [\n${layers}\n  ]\n}\n`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BlockrankError('INVALID_PLAN', `The plan is not JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

function parseLayer(layer: Fields, at: string): LayerPlan {
  const { id, keep } = layer;
  if (typeof id !== 'string' || id === '') throw wrong(`${at}.id`, 'the id of a layer', id);
  if (keep !== undefined) return { id, keep: parseReason(keep, `${at}.keep`) };
  if (layer.spec === undefined) throw wrong(at, 'spec and factorType, or keep', layer);
  const factorType = oneOf(FACTOR_TYPES, layer.factorType, `${at}.factorType`) as FactorType;
  const spec = parseSpec(fields(layer.spec, `${at}.spec`), `${at}.spec`);
  const plan = { id, spec, factorType };
  return {
    ...plan,
    ...(layer.compute !== undefined && {
      compute: oneOf(COMPUTES, layer.compute, `${at}.compute`) as Compute,
    }),
    ...(layer.predicted !== undefined && {
      predicted: parsePrediction(layer.predicted, `${at}.predicted`),
    }),
  };
}

function parsePrediction(value: unknown, at: string): Prediction {
  const { loss, weightedError, assumed } = fields(value, at);
  for (const [name, number] of Object.entries({ loss, weightedError }))
    if (typeof number !== 'number' || !(number >= 0))
      throw wrong(`${at}.${name}`, 'a number from 0 up', number);
  if (assumed !== undefined && assumed !== true) throw wrong(`${at}.assumed`, 'true, or nothing', assumed);
  return { loss: loss as number, weightedError: weightedError as number, ...(assumed && { assumed }) };
}

/** A bare string is a note by whoever edited the plan. */
function parseReason(keep: unknown, at: string): Reason {
  if (typeof keep === 'string') return { code: 'kept-by-plan', message: keep };
  const { code, message } = fields(keep, at);
  if (typeof message !== 'string') throw wrong(`${at}.message`, 'a string', message);
  return { code: oneOf(REASON_CODES, code, `${at}.code`) as ReasonCode, message };
}

function parseSpec(spec: Fields, at: string): StructureSpec {
  const structure = oneOf(STRUCTURES, spec.structure, `${at}.structure`) as Structure;
  const whole = (name: string) => {
    const value = spec[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
      throw wrong(`${at}.${name}`, 'a whole number from 1 up', value);
    return value;
  };
  const parsed = {
    structure,
    rank: whole('rank'),
    blocksIn: whole('blocksIn'),
    blocksOut: whole('blocksOut'),
  };
  if (structure === 'low-rank' && (parsed.blocksIn !== 1 || parsed.blocksOut !== 1))
    throw wrong(`${at}.blocksIn and blocksOut`, '1 for low-rank', [parsed.blocksIn, parsed.blocksOut]);
  return parsed;
}

function oneOf(allowed: readonly string[], value: unknown, at: string): string {
  if (typeof value === 'string' && allowed.includes(value)) return value;
  throw wrong(at, `one of ${allowed.join(', ')}`, value);
}

function fields(value: unknown, at: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(at, 'an object', value);
}

function wrong(field: string, expected: string, found: unknown): BlockrankError {
  return new BlockrankError(
    'INVALID_PLAN',
    `Plan, ${field}: expected ${expected}; found ${JSON.stringify(found) ?? 'nothing'}.`,
  );
}
