/** Registers blockrank's operators for the tests of the `describe` that it is called in. */
import { register, unregister } from '../../../src/loader/register.js';

export function usePlugin(): void {
  before(() => register());
  after(() => {
    unregister();
  });
}
