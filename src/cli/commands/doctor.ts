// `blockrank doctor`
import type { Command } from 'commander';
import type { BuildInfo } from '../../doctor/cpu.js';
import { doctor, type Check, type DoctorReport } from '../../doctor.js';
import { runCommand } from '../run.js';
import { wrapText } from '../table.js';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check what blockrank needs on this machine')
    .description(
      'Checks Node, onnxruntime-node, the native files, the hook, the operators, the CPU and CUDA, and says what to do about what is not usable. Exit code 1 where the operators cannot run.',
    )
    .action((_: unknown, command: Command) =>
      runCommand(command, async ({ width }) => {
        const report = await doctor();
        return { json: report, text: formatDoctor(report, width), failed: !isUsable(report) };
      }),
    );
}

/** CUDA is a choice; the rest is needed. */
function isUsable({ onnxruntime, addon, library, hook, operators }: DoctorReport): boolean {
  return [onnxruntime, addon, library, hook, operators].every((check) => check.status === 'ok');
}

function describeKernels({ version, isa, int8, bfloat16 }: BuildInfo): string {
  return `${version}, ${isa}; int8: ${int8 ?? 'computed in float32'}; bfloat16: ${bfloat16 ?? 'computed in float32'}`;
}

function formatDoctor(report: DoctorReport, width: number): string {
  const { cpu, cuda, library } = report;
  const facts: [string, string][] = [
    ['blockrank', report.blockrank],
    ['Node', `${report.node.version}, ${report.node.platform}`],
    [
      'CPU',
      `${cpu.model}, ${cpu.threads} threads; ${cpu.features.join(' ') || 'no vector extensions known'}`,
    ],
    ...(library.build ? [['kernels', describeKernels(library.build)] as [string, string]] : []),
    ...report.runtimes.map(({ version, path, libraries }): [string, string] => [
      'runtime',
      `ONNX Runtime ${version} (${path}), registered: ${libraries.join(', ') || 'nothing'}`,
    ]),
  ];
  const checks: [string, Check][] = [
    ['onnxruntime-node', report.onnxruntime],
    ['addon', report.addon],
    ['library', library],
    ['hook', report.hook],
    ['operators', report.operators],
    ['CUDA driver', cuda.driver],
    ['CUDA provider', cuda.provider],
    ['CUDA runtime', cuda.runtime],
    ['CUDA kernels', cuda.kernels],
    ['CUDA device', cuda.device],
  ];
  return [
    ...facts.map(([name, fact]) => entry(name, '', fact, width)),
    '',
    ...checks.map(([name, { status, reason, fix }]) =>
      entry(name, status === 'ok' ? 'ok' : 'no', fix === undefined ? reason : `${reason}\n→ ${fix}`, width),
    ),
  ].join('\n');
}

function entry(name: string, mark: string, text: string, width: number): string {
  const head = `${name.padEnd(17)} ${mark.padEnd(3)}`;
  const lines = text.split('\n').flatMap((line) => wrapText(line, Math.max(30, width - head.length)));
  return lines.map((line, index) => `${index === 0 ? head : ' '.repeat(head.length)}${line}`).join('\n');
}
