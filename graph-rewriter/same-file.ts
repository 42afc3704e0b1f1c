// Whether two paths lead to one file, through links too.
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** Also true for equal paths that nothing is at yet. */
export function isSameFile(path: string, other: string): boolean {
  if (resolve(path) === resolve(other)) return true;
  if (!existsSync(path) || !existsSync(other)) return false;
  const [a, b] = [statSync(path), statSync(other)];
  return a.dev === b.dev && a.ino === b.ino;
}
