#!/usr/bin/env node
// The `blockrank` command.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addDemo } from './commands/demo.js';
import { addDensify } from './commands/densify.js';
import { addDoctor } from './commands/doctor.js';
import { addInspect } from './commands/inspect.js';
import { addReport } from './commands/report.js';
import { addRewrite } from './commands/rewrite.js';
import { addValidate } from './commands/validate.js';
import { EXIT, reportError, toJson } from './run.js';

function program(): Command {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const root = new Command('blockrank')
    .description(
      'Makes exported ONNX models smaller and faster in onnxruntime-node by block low-rank weights.',
    )
    .version(manifest.version)
    .option('--json', 'print the result as JSON on stdout')
    .option('--debug', 'print the stack of errors (also: BLOCKRANK_DEBUG=1)')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help lists the options)')
    .exitOverride();
  for (const add of [addInspect, addRewrite, addValidate, addReport, addDensify, addDoctor, addDemo])
    add(root);
  return root;
}

async function main(): Promise<void> {
  // `blockrank inspect … | head` closes the pipe early: no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok);
    throw error;
  });
  try {
    await program().parseAsync();
  } catch (error) {
    process.exitCode = error instanceof CommanderError ? commanderExit(error) : reportError(error, {});
  }
}

/** Commander has printed its own message (or the help that was asked for) by the time that it throws. */
function commanderExit({ exitCode, message }: CommanderError): number {
  if (exitCode === 0) return EXIT.ok;
  if (process.argv.includes('--json')) {
    process.stdout.write(
      toJson({ error: { code: 'INVALID_ARGUMENT', message: message.replace(/^error: /, '') } }),
    );
  }
  return EXIT.userError;
}

await main();
