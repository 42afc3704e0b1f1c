// Greedy decoding of a CTC recogniser (Graves et al. 2006): best class per step, repeats merged, blanks dropped.

/**
 * The text in `scores` [steps, classes], row-major. `alphabet` has one entry a class; class 0 is the blank.
 */
export function decodeGreedily(scores: Float32Array, alphabet: readonly string[]): string {
  const classes = alphabet.length;
  let text = '';
  let previous = 0;
  for (let start = 0; start + classes <= scores.length; start += classes) {
    let best = 0;
    for (let index = 1; index < classes; index++)
      if (scores[start + index] > scores[start + best]) best = index;
    if (best !== 0 && best !== previous) text += alphabet[best];
    previous = best;
  }
  return text;
}
