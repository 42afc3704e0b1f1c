// A process that rewrites when it is told to, so that a test can end it at any moment; ends by itself after that.
import { rewriteAny } from './any.js';

process.once('message', (job) => {
  const { source, target } = job as { source: string; target: string };
  void rewriteAny(source, target, { minSize: 1 }, { overwrite: true }).then(
    () => process.send!('done'),
    (error: unknown) => process.send!(String(error)),
  );
});
process.send!('ready');
