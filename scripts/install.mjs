// npm's install script: builds the native files (libblockrank.so, blockrank.node) where no prebuilt ones are there.
//
// With CMake it is a plain cmake-js build. A fresh machine may have a C++ compiler and no CMake, and no maintained npm package
// carries CMake itself, so without it (or make) the few sources are compiled directly: the lists of sources and the flags are
// read from the CMakeLists.txt files, which stay the one place for both.
//
// Exit code: where there is no compiler, an application that installs blockrank gets its install (rewriting, validation and
// rewritten models work without native files, and `register()` says how to build them); a checkout of blockrank itself fails,
// since nothing in it is of use without them. A build that was tried and failed is always an error.
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const FILES = ['libblockrank.so', 'blockrank.node'];
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const run = (command, args) => spawnSync(command, args, { encoding: 'utf8' });
const works = (command) => run(command, ['--version']).status === 0;

export function findCompiler() {
  return [process.env.CXX, 'c++', 'g++', 'clang++'].find((name) => name && works(name));
}

/** CMake of the version that CMakeLists.txt asks for, and a tool for it to drive. */
export function hasCMake(root = ROOT) {
  const wanted = /cmake_minimum_required\(VERSION ([\d.]+)/.exec(read(root, 'CMakeLists.txt'))[1];
  const found = /cmake version ([\d.]+)/.exec(run('cmake', ['--version']).stdout ?? '')?.[1];
  return found !== undefined && atLeast(found, wanted) && (works('ninja') || works('make'));
}

function atLeast(found, wanted) {
  const [a, b] = [found, wanted].map((v) => v.split('.').map(Number));
  return a[0] !== b[0] ? a[0] > b[0] : (a[1] ?? 0) >= (b[1] ?? 0);
}

const read = (...path) => readFileSync(join(...path), 'utf8');

/** Sources of a folder's CMakeLists.txt with the options that it gives to single files, for this processor. */
function sourcesOf(root, folder) {
  const text = read(root, folder, 'CMakeLists.txt').replace(/#.*$/gm, '');
  const special = new Map(
    [...text.matchAll(/set_source_files_properties\((\S+) PROPERTIES\s+COMPILE_OPTIONS "([^"]*)"/g)].map(
      (m) => [m[1], m[2].split(';')],
    ),
  );
  const listed = [...text.matchAll(/(?:add_library|target_sources)\(([^)]*)\)/g)].flatMap(
    (m) => m[1].match(/\S+\.cc/g) ?? [],
  );
  return [...new Set(listed)]
    .map((file) => ({ file, options: special.get(file) ?? [] }))
    .filter(({ file }) => !file.startsWith('abi/'))
    .filter(({ options }) => process.arch === 'x64' || !options.some((option) => option.startsWith('-m')))
    .map(({ file, options }) => ({ source: join(root, folder, file), options }));
}

/** What to compile and link, as data: [{ file, objects: [{ source, object, args }], link }]. */
export function directBuild(root = ROOT) {
  const { version } = JSON.parse(read(root, 'package.json'));
  const headers = createRequire(join(root, 'package.json')).resolve('node-api-headers/package.json');
  const common = [
    '-O3',
    '-DNDEBUG',
    '-std=c++17',
    '-fPIC',
    '-fvisibility=hidden',
    '-fvisibility-inlines-hidden',
  ];
  const targets = [
    {
      file: FILES[0],
      folder: 'custom-ops',
      args: ['-ffp-contract=fast', `-I${join(root, 'custom-ops')}`, `-DBLOCKRANK_VERSION="${version}"`],
      link: [
        `-Wl,--version-script=${join(root, 'custom-ops', 'exports.map')}`,
        '-Wl,-z,nodelete',
        '-Wl,-z,defs',
        '-ldl',
      ],
    },
    {
      file: FILES[1],
      folder: 'src/native',
      args: ['-ffp-contract=fast', `-I${join(dirname(headers), 'include')}`, '-DNAPI_VERSION=8'],
      link: ['-Wl,-z,nodelete', '-pthread', '-ldl'],
    },
  ];
  return targets.map(({ file, folder, args, link }) => ({
    file,
    link,
    objects: sourcesOf(root, folder).map(({ source, options }) => ({
      source,
      object: join(root, 'build', 'direct', `${relative(root, source).replaceAll('/', '.')}.o`),
      args: [...common, ...args, ...options],
    })),
  }));
}

async function buildDirectly(compiler, root) {
  const release = join(root, 'build', 'Release');
  mkdirSync(join(root, 'build', 'direct'), { recursive: true });
  mkdirSync(release, { recursive: true });
  const compile = promisify(execFile);
  for (const { file, objects, link } of directBuild(root)) {
    const queue = [...objects];
    const work = async () => {
      for (let next = queue.pop(); next; next = queue.pop()) {
        await compile(compiler, [...next.args, '-c', next.source, '-o', next.object]);
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
    await compile(compiler, ['-shared', ...objects.map((o) => o.object), '-o', join(release, file), ...link]);
  }
}

function buildWithCMake(root) {
  const cmakeJs = createRequire(join(root, 'package.json')).resolve('cmake-js/bin/cmake-js');
  const { status } = spawnSync(process.execPath, [cmakeJs, 'compile', '--silent'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`cmake-js ended with exit code ${status}; its messages are above`);
}

const NO_COMPILER = `blockrank: no C++ compiler was found, so its native part was not built. Rewriting and validating models work without it, and
rewritten models run in onnxruntime-node at the speed of plain ONNX operators; the fused kernels need it. To have them, install
a C++17 compiler (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; Alpine is not supported by onnxruntime-node) or
name one in the variable CXX, then run: npm rebuild blockrank. To see what blockrank finds on this machine: npx blockrank doctor`;

async function main() {
  const prebuilt = join(ROOT, 'prebuilds', `${process.platform}-${process.arch}`);
  if (process.env.BLOCKRANK_SKIP_BUILD === '1' || process.platform !== 'linux') return;
  if (FILES.every((file) => existsSync(join(prebuilt, file)))) return;
  const compiler = findCompiler();
  if (!compiler) {
    console.error(NO_COMPILER);
    process.exitCode = existsSync(join(ROOT, 'tsconfig.json')) ? 1 : 0;
    return;
  }
  try {
    if (hasCMake()) buildWithCMake(ROOT);
    else await buildDirectly(compiler, ROOT);
  } catch (error) {
    console.error(
      `blockrank: building its native part failed. ${error.message}\n${error.stderr ?? ''}\n` +
        'To install without it (rewriting and validating models work): BLOCKRANK_SKIP_BUILD=1 npm install',
    );
    process.exitCode = 1;
  }
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
