// What a report says: each rewritten layer, and the models as a whole.
import type { StructureSpec } from '../../graph-rewriter/factorize/types.js';

/** Errors of a matrix that stands for W: of the numbers, and of what they do to the inputs that were seen. */
export interface MatrixErrors {
  /** ‖W − Ŵ‖_F / ‖W‖_F */
  readonly weight: number;
  /** sqrt(tr(E C Eᵀ) / tr(W C Wᵀ)) with C = E[x xᵀ]; null where nothing was seen of the layer's input. */
  readonly activation: number | null;
}

/** A way of storing the dense weight in fewer bits, with round to nearest. */
export interface Quantization {
  readonly name: string;
  readonly bits: 4 | 8;
  /** Inputs that share a scale; null: all of an output row. */
  readonly group: number | null;
}

export interface LayerReport {
  readonly id: string;
  /** Layers with the same one hold the same stored weight. */
  readonly weight: string;
  readonly shape: { readonly in: number; readonly out: number };
  readonly op: string;
  readonly spec: StructureSpec;
  readonly factorType: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly errors: MatrixErrors;
  /** What quantizing the dense weight alone would give, by the quantization's name. */
  readonly quantized: Readonly<Record<string, MatrixErrors & { readonly bytes: number }>>;
}

/** How far a model's output is from the original's, over all data sets. */
export interface OutputAgreement {
  readonly output: string;
  /** Rows along the last axis that were compared. Padding does not count. */
  readonly rows: number;
  /** Mean over the rows of the cosine between both models' row. */
  readonly cosine: number;
  /** ‖y − y₀‖ / ‖y₀‖ over all rows. */
  readonly relativeError: number;
  /** Share of rows whose largest element is the same; null where a row has one element. */
  readonly sameTop1: number | null;
  /** exp of the mean negative log-likelihood of the next token, where the output is logits of a token input; else null. */
  readonly perplexity: number | null;
}

export interface ModelAgreement {
  readonly name: string;
  readonly what: 'original' | 'rewritten' | 'functions' | 'quantized';
  /** Of the model file and its external data; of a quantized model what it would take. */
  readonly bytes: number;
  readonly outputs: readonly OutputAgreement[];
}

export interface ModelReport {
  readonly original: string;
  readonly rewritten: string;
  readonly layers: readonly LayerReport[];
  readonly models: readonly ModelAgreement[];
  /** How far the custom ops are from the rewritten model's own functions: rounding, beside what the factorization costs. */
  readonly kernelError: readonly OutputAgreement[];
  readonly dataSets: number;
  /** Plain sentences that a reader must not miss. */
  readonly findings: readonly string[];
}
