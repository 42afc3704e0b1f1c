// npm run fuzz:native: random nodes through session creation and runs; prints what came of them and fails where a defect was found.
import { parseArgs } from 'node:util';
import { whyNotSanitized } from '../loader/sanitizer.js';
import { fuzzSessions } from './fuzz.js';

const { values: options } = parseArgs({
  options: {
    cases: { type: 'string', default: '5000' },
    first: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
  },
});
const first = Number(options.first);
const reason = whyNotSanitized('address');
const { cases, results, defects } = await fuzzSessions(
  { seed: Number(options.seed), first, end: first + Number(options.cases) },
  {
    deadline: Date.now() + Number(options.minutes) * 60_000,
    ...(reason === undefined && { sanitizer: 'address' as const }),
  },
);
const how = reason === undefined ? 'under the address sanitizer' : `without a sanitizer: ${reason}`;
process.stdout.write(
  `seed ${options.seed}, ${cases} cases from ${first}, ${how}\n${JSON.stringify(results, null, 2)}\n`,
);
for (const defect of defects) process.stdout.write(`${defect}\n`);
process.exitCode = defects.length > 0 ? 1 : 0;
