// Nodes that exporters and converters put between a stored weight and the product that reads it.
import { cast } from './cast.js';
import { dequantize } from './dequantize.js';
import { reshape, squeeze, transpose, unsqueeze } from './shape.js';
import type { Step } from './view.js';

export const STEPS: Readonly<Record<string, Step>> = {
  Identity: (_, view) => view,
  Transpose: transpose,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Cast: cast,
  DequantizeLinear: dequantize,
};
