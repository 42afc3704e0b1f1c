// Builds and runs the native tests; with --sanitize under the address and undefined-behaviour sanitizers.
import { execFileSync } from 'node:child_process';

const sanitize = process.argv.includes('--sanitize');
const build = sanitize ? 'build/sanitize' : 'build/native-tests';
const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit' });

run(
  'cmake',
  ...['-S', '.', '-B', build, '-DBLOCKRANK_TESTS=ON', `-DBLOCKRANK_SANITIZE=${sanitize ? 'ON' : 'OFF'}`],
  `-DCMAKE_BUILD_TYPE=${sanitize ? 'RelWithDebInfo' : 'Release'}`,
);
run('cmake', '--build', build, '--target', 'blockrank_native_tests', '--parallel', '2');
run('ctest', '--test-dir', build, '--output-on-failure');
