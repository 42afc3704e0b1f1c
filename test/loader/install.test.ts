import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { ROOT, temporaryFolder } from './helpers.js';

interface Install {
  hasCMake(): boolean;
  directBuild(): { file: string; objects: { source: string; object: string; args: string[] }[] }[];
}

const install = (await import(pathToFileURL(join(ROOT, 'scripts', 'install.mjs')).href)) as Install;

/** What changes the code that comes out: processor, floating point, visibility and optimisation. */
const meaningful = (args: readonly string[]) =>
  args.filter((arg) => /^-(m|f|O|D(?!blockrank))/.test(arg) && !/_EXPORTS$/.test(arg)).sort();

const forProcessor = (args: readonly string[]) => args.filter((arg) => arg.startsWith('-m')).sort();

describe('the direct build of scripts/install.mjs', () => {
  it('compiles the sources that CMake does, with the same options', function () {
    this.timeout(60_000);
    if (!install.hasCMake() || !existsSync(join(ROOT, 'custom-ops', 'CMakeLists.txt'))) this.skip();
    const folder = temporaryFolder();
    const headers = createRequire(join(ROOT, 'package.json')).resolve('node-api-headers/package.json');
    const options = ['-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON'];
    const include = `-DCMAKE_JS_INC=${join(dirname(headers), 'include')}`;
    execFileSync('cmake', ['-S', ROOT, '-B', folder, ...options, include], { stdio: 'pipe' });
    const commands = JSON.parse(readFileSync(join(folder, 'compile_commands.json'), 'utf8')) as {
      file: string;
      command: string;
    }[];
    rmSync(folder, { recursive: true });
    const ofCMake = commands
      .map(({ file, command }) => ({
        file: relative(ROOT, file),
        args: command.replaceAll('\\', '').split(' '),
      }))
      .filter(({ file }) => /^(custom-ops|src\/native)\//.test(file) && file.endsWith('.cc'));
    const ofInstall = install
      .directBuild()
      .flatMap(({ objects }) => objects.map(({ source, args }) => ({ file: relative(ROOT, source), args })));

    const files = (list: { file: string }[]) => list.map(({ file }) => file).sort();
    expect(files(ofInstall)).to.deep.equal(files(ofCMake));
    for (const { file, args } of ofInstall) {
      const same = ofCMake.find((other) => other.file === file)!;
      // CMake gives some options to a target, where this build gives them to a whole library; never those for the processor.
      expect(meaningful(args), file).to.include.members(meaningful(same.args));
      expect(forProcessor(args), file).to.deep.equal(forProcessor(same.args));
    }
  });

  it('gives every object a file of its own', function () {
    if (!existsSync(join(ROOT, 'custom-ops', 'CMakeLists.txt'))) this.skip();
    const objects = install.directBuild().flatMap((target) => target.objects.map(({ object }) => object));
    expect(new Set(objects).size).to.equal(objects.length);
  });
});
