import type { Feed } from '../feed.ts';
import { readSecdb } from '../secdb/secdb.ts';

/** Alpine's own security database, a file a repository of a release. See README.md beside this file. */
export const alpineSecdb: Feed = {
  id: 'alpine-secdb',
  title: 'Alpine security database',
  publisher: 'Alpine Linux',
  licence: 'CC-BY-SA-4.0',
  url: 'https://secdb.alpinelinux.org/',
  complete: true,
  staleAfterHours: 48,
  ecosystems: ['alpine'],
  /** `3.18/main` of `3.18/main/openssl`. */
  partOf: (recordId) => recordId.slice(0, recordId.lastIndexOf('/')),
  parse(file) {
    return readSecdb(file, { ecosystem: 'alpine', releaseOf, mayBeEmpty: true });
  },
};

function releaseOf({ version }: { readonly version: string | null }): string | null {
  if (version === 'edge') return 'edge';
  return /^v([0-9]+\.[0-9]+)$/u.exec(version ?? '')?.[1] ?? null;
}
