// `blockrank densify out.onnx -o dense.onnx`
import type { Command } from 'commander';
import { densifyModel } from '../../../graph-rewriter/densify.js';
import { count, formatBytes } from '../../format.js';
import { runCommand } from '../run.js';

interface Flags {
  readonly output: string;
  readonly overwrite?: boolean;
}

export function addDensify(program: Command): void {
  program
    .command('densify')
    .summary('turn a rewritten model back into plain MatMuls, standard operators only')
    .description(
      'Turns a rewritten model back into one of standard operators only: every structured weight is multiplied out.',
    )
    .argument('<model>', 'rewritten ONNX file')
    .requiredOption('-o, --output <file>', 'where to write the dense model')
    .option('--overwrite', 'allow the output to be the input itself')
    .action((path: string, flags: Flags, command: Command) =>
      runCommand(command, async ({ signal, onProgress }) => {
        const report = await densifyModel(path, flags.output, {
          signal,
          overwrite: flags.overwrite ?? false,
          onProgress: (done, total, node) => onProgress({ step: `densifying ${node}`, done, total }),
        });
        const { nodes, bytesBefore, bytesAfter } = report;
        const text = `${count(nodes.length, 'layer')} made dense: ${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} after, in ${flags.output}`;
        return { json: report, text };
      }),
    );
}
