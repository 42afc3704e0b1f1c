// Names of temporary files that say whose they are, so that what a killed process left can be told from what is being written.
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Process numbers mean something on one machine, or in one container, alone. */
const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** A hidden file beside the target: .<target>.<machine>-<process>-<random>.tmp */
export function temporaryName(target: string): string {
  const owner = `${HOST}-${process.pid}-${randomBytes(6).toString('hex')}`;
  return join(dirname(target), `.${basename(target)}.${owner}.tmp`);
}

/** Removes the temporary files of this target whose process, on this machine, has ended. */
export function removeStale(target: string): void {
  const prefix = `.${basename(target)}.${HOST}-`;
  for (const name of list(dirname(target))) {
    if (!name.startsWith(prefix)) continue;
    const owner = /^(\d+)-[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length));
    if (owner !== null && !isRunning(Number(owner[1]))) rmSync(join(dirname(target), name), { force: true });
  }
}

/** The write that follows says why a folder cannot be used. */
function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
