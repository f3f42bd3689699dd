import type { Feed } from '../feed.ts';
import { readSecdb } from '../secdb/secdb.ts';

/** Wolfi's security database, in the format of Alpine's. Wolfi rolls: there is no release. See README.md beside this file. */
export const wolfiSecdb: Feed = {
  id: 'wolfi-secdb',
  title: 'Wolfi security database',
  publisher: 'Chainguard',
  licence: 'Apache-2.0',
  url: 'https://packages.wolfi.dev/os/security.json',
  complete: true,
  staleAfterHours: 48,
  ecosystems: ['wolfi'],
  /** `os` of `os/openssl`. */
  partOf: (recordId) => recordId.slice(0, recordId.lastIndexOf('/')),
  parse(file) {
    return readSecdb(file, {
      ecosystem: 'wolfi',
      // A file with a distroversion is Alpine's, whose package names are often the same.
      releaseOf: ({ version }) => (version === null ? '' : null),
      mayBeEmpty: false,
    });
  },
};
