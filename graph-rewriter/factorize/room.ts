/** Arrays that a fit uses again and again: fresh ones for each product cost it a third of its time. One for each use, of changing contents. */
export class Room {
  private readonly arrays = new Map<string, Float64Array>();

  of(use: string, length: number): Float64Array {
    const key = `${use} ${length}`;
    let array = this.arrays.get(key);
    if (array === undefined) this.arrays.set(key, (array = new Float64Array(length)));
    return array;
  }
}
