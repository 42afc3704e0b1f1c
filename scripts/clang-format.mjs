// Formats (or with --check verifies) every C++ and CUDA source with the pinned clang-format.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const check = process.argv.includes('--check');
const files = ['custom-ops', 'src/native', 'test', 'bench']
  .filter((dir) => existsSync(dir))
  .flatMap((dir) => readdirSync(dir, { recursive: true }).map((name) => `${dir}/${name}`))
  .filter((file) => /\.(cc|h|cu|cuh)$/.test(file));
if (files.length > 0) {
  const mode = check ? ['--dry-run', '-Werror'] : ['-i'];
  execFileSync('npx', ['clang-format', ...mode, ...files], { stdio: 'inherit' });
}
