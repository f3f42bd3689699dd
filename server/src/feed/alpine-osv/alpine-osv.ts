import type { Feed } from '../feed.ts';
import { osvFeed } from '../osv/osv-feed.ts';

/** Alpine's security database as OSV.dev converts it; see README.md beside this file for what each field becomes. */
export const alpineOsv: Feed = osvFeed(
  {
    id: 'alpine-osv',
    title: 'Alpine Linux fixed vulnerabilities (OSV)',
    publisher: 'Alpine Linux, converted by OSV.dev',
    licence: 'CC-BY-SA 4.0 (Alpine secdb); CVE descriptions: CVE Program terms of use',
  },
  {
    ecosystem: 'alpine',
    name: 'Alpine',
    packageKind: 'source',
    // None: all records are about one vulnerability.
    advisoryIds: /^(?!)/u,
    vulnerabilityPrefix: 'ALPINE-',
    scorer: 'alpine-osv',
    place(qualifier) {
      const release = /^v([0-9]+\.[0-9]+)$/u.exec(qualifier)?.[1] ?? (qualifier === 'edge' ? 'edge' : null);
      return release === null ? 'release_missing' : { release, channel: null };
    },
    isOwnVulnerability: () => false,
    advisoryUrl: () => null,
    isRpm: false,
    readsIntroduced: true,
    note: () => null,
    fixState: () => 'none_yet',
  },
);
