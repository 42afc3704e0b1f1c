/** Runs one layer and prints "right", or the message of what failed. */
import { register } from '../../../src/loader/register.js';
import { expectLayer } from './layer.js';

const sizes = { in: 20, out: 30, blocksIn: 2, blocksOut: 3, rank: 5 };
try {
  register();
  await expectLayer({ structure: 'BlastMatMul', sizes, leading: [7] });
  process.stdout.write('right\n');
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`);
}
