// The version of this package, for the metadata of rewritten models.
import { readFileSync } from 'node:fs';

/** From dist/graph-rewriter/ the package's root is two levels up. */
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION = manifest.version;
