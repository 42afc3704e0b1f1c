/** BLOCKRANK_ISA, in processes of their own: the choice is made once in a process. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const script = fileURLToPath(new URL('./helpers/isa-process.js', import.meta.url));

async function runWith(isa: string): Promise<string> {
  const env = { ...process.env, BLOCKRANK_ISA: isa };
  return (await promisify(execFile)(process.execPath, [script], { env })).stdout.trim();
}

describe('BLOCKRANK_ISA', () => {
  it('chooses the portable kernels', async () => {
    expect(await runWith('portable')).to.equal('right');
  });

  it('is refused, with what this processor supports, where it names nothing', async () => {
    expect(await runWith('sse9')).to.match(
      /BLOCKRANK_ISA: expected one of .*portable \(what this processor runs\), found 'sse9'/,
    );
  });
});
