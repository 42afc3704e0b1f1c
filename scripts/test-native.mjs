// Builds and runs the native tests; with --sanitize under the address and undefined-behaviour sanitizers, and with the library
// and the addon built for these and for the thread sanitizer: `npm test` runs sessions and threads under them then.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit' });
const headers = dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json'));

function build(folder, sanitizers, type, ...targets) {
  const options = [
    `-DBLOCKRANK_SANITIZE=${sanitizers}`,
    `-DCMAKE_BUILD_TYPE=${type}`,
    '-DBLOCKRANK_TESTS=ON',
  ];
  run('cmake', '-S', '.', '-B', folder, ...options, `-DCMAKE_JS_INC=${join(headers, 'include')}`);
  run('cmake', '--build', folder, '--parallel', '2', '--target', ...targets);
}

const TESTS = 'blockrank_native_tests';
const LIBRARIES = ['blockrank', 'blockrank_node'];
if (process.argv.includes('--sanitize')) {
  build('build/sanitize-thread', 'thread', 'RelWithDebInfo', ...LIBRARIES);
  build('build/sanitize-address', 'address,undefined', 'RelWithDebInfo', TESTS, ...LIBRARIES);
  run('ctest', '--test-dir', 'build/sanitize-address', '--output-on-failure');
} else {
  build('build/native-tests', '', 'Release', TESTS);
  run('ctest', '--test-dir', 'build/native-tests', '--output-on-failure');
}
