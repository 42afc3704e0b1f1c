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
  for (const isa of ['portable', 'avx2', 'avx512'])
    it(`chooses ${isa}, or says what this processor supports`, async () => {
      const message = await runWith(isa);
      if (message !== 'right')
        expect(message).to.match(new RegExp(`expected one of (?!.*${isa}.*\\(what).*found '${isa}'`));
    });

  it('is refused, with what this processor supports, where it names nothing', async () => {
    expect(await runWith('sse9')).to.match(
      /BLOCKRANK_ISA: expected one of .*portable \(what this processor runs\), found 'sse9'/,
    );
  });
});
