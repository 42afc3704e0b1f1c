// What a reader of the numbers should take away, in sentences; nothing that the numbers do not say.
import { formatBytes, formatNumber } from '../format.js';
import type { ModelAgreement, OutputAgreement } from './types.js';

/** Where both are within this share of the error, neither is called better. */
const TIE = 0.05;

export function findingsOf(models: readonly ModelAgreement[]): string[] {
  const rewritten = models.find(({ what }) => what === 'rewritten');
  if (!rewritten) return [];
  return models.filter(({ what }) => what === 'quantized').map((rival) => compareWithRival(rewritten, rival));
}

/** Mean over the outputs: the lower the closer to the original. */
export function meanError(outputs: readonly OutputAgreement[]): number {
  if (outputs.length === 0) return NaN;
  return outputs.reduce((sum, { relativeError }) => sum + relativeError, 0) / outputs.length;
}

function compareWithRival(rewritten: ModelAgreement, rival: ModelAgreement): string {
  const [ours, theirs] = [meanError(rewritten.outputs), meanError(rival.outputs)];
  const sizes = `${formatBytes(rival.bytes)} against ${formatBytes(rewritten.bytes)}`;
  const errors = `relative error ${formatNumber(theirs)} against ${formatNumber(ours)}`;
  const smaller = rival.bytes <= rewritten.bytes;
  const closer = theirs < ours * (1 - TIE);
  if (smaller && closer)
    return `Quantization alone wins here: ${rival.name} is no larger (${sizes}) and closer to the original (${errors}). What the factors add is fewer multiplications.`;
  if (!smaller && !closer)
    return `The rewritten model is smaller than ${rival.name} (${sizes}) and not further from the original (${errors}).`;
  return smaller
    ? `${rival.name} is smaller (${sizes}), and not closer to the original (${errors}).`
    : `${rival.name} is closer to the original (${errors}) and larger (${sizes}).`;
}
