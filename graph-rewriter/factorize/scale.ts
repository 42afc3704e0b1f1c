/** Divides row o of U, [out, …], by scale[o]: the fit was made of diag(scale)·W. */
export function unscaleRows(u: Float32Array, scale?: Float32Array): void {
  if (!scale) return;
  const width = u.length / scale.length;
  for (let at = 0; at < u.length; at++) u[at] /= scale[Math.floor(at / width)];
}
