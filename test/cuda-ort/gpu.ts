/** Runs the tests of the `describe` that it is called in with the operators registered, where CUDA sessions work. */
import { realpathSync } from 'node:fs';
import { whyNotCuda } from '../../src/doctor/cuda.js';
import { loadAddon } from '../../src/loader/addon.js';
import { locateLibrary } from '../../src/loader/locate.js';
import { register, unregister } from '../../src/loader/register.js';

export function useGpu(): void {
  before(function () {
    register();
    const missing = whyNotCuda(loadAddon(), realpathSync(locateLibrary()));
    if (missing === null) return;
    // eslint-disable-next-line no-console
    console.log(`    skipped: ${missing}`);
    this.skip();
  });
  after(() => {
    unregister();
  });
}
