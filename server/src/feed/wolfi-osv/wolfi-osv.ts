import type { Feed } from '../feed.ts';
import { osvFeed } from '../osv/osv-feed.ts';

/** Chainguard's notices for Wolfi; see README.md beside this file for what each field becomes. */
export const wolfiOsv: Feed = osvFeed(
  {
    id: 'wolfi-osv',
    title: 'Wolfi vulnerabilities (OSV)',
    publisher: 'Chainguard, exported by OSV.dev',
    licence: 'Apache-2.0 (wolfi-dev/advisories)',
  },
  {
    ecosystem: 'wolfi',
    name: 'Wolfi',
    packageKind: 'source',
    // None: all records are about one vulnerability.
    advisoryIds: /^(?!)/u,
    vulnerabilityPrefix: 'WOLFI-',
    opaqueIds: /^CGA-/u,
    scorer: 'wolfi-osv',
    place: () => ({ release: '', channel: null }),
    isOwnVulnerability: () => false,
    advisoryUrl: () => null,
    isRpm: false,
    readsIntroduced: true,
    note: () => null,
    fixState: () => 'none_yet',
  },
);
