// The rules by operator, and the operators that have none because their slope is zero.
import type { Node } from '../../node.js';
import { isStandardDomain } from '../../schema.js';
import { CONTRIB_DOMAIN } from '../builder.js';
import type { Rule, Rules } from '../rule.js';
import { ARITHMETIC } from './arithmetic.js';
import { CONVOLUTION } from './convolution.js';
import { ELEMENTWISE } from './elementwise.js';
import { MOVEMENT } from './movement.js';
import { NORMALIZATION } from './normalization.js';
import { PRODUCT } from './product.js';
import { REDUCTION } from './reduction.js';

const RULES: Rules = {
  ...ARITHMETIC,
  ...CONVOLUTION,
  ...ELEMENTWISE,
  ...MOVEMENT,
  ...NORMALIZATION,
  ...PRODUCT,
  ...REDUCTION,
};

/** Of ONNX Runtime's own operators, those that read like standard ones. */
const CONTRIB = new Set(['FusedMatMul', 'Gelu', 'QuickGelu', 'SimplifiedLayerNormalization']);

/** Integers, booleans, shapes and steps: what comes out does not move with what goes in. */
const FLAT = new Set(
  `And ArgMax ArgMin Ceil ConstantOfShape Equal EyeLike Floor Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual NonZero Not
   OneHot Or RandomNormalLike RandomUniformLike Range Round Shape Sign Size Xor`.split(/\s+/),
);
/** float32, float16, float64, bfloat16 */
const FLOATING = new Set([1, 10, 11, 16]);

export function ruleFor(node: Node): Rule | undefined {
  const isKnown =
    isStandardDomain(node.domain) || (node.domain === CONTRIB_DOMAIN && CONTRIB.has(node.opType));
  return isKnown && Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : undefined;
}

export function isFlat(node: Node): boolean {
  if (node.opType === 'Cast') return !FLOATING.has(node.int('to', 0));
  return isStandardDomain(node.domain) && FLAT.has(node.opType);
}
