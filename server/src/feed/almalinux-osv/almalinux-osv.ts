import type { Feed } from '../feed.ts';
import { cvesOfErratum } from '../osv/dialect.ts';
import { osvFeed } from '../osv/osv-feed.ts';

/** AlmaLinux errata; see README.md beside this file for what each field becomes. */
export const almalinuxOsv: Feed = osvFeed(
  {
    id: 'almalinux-osv',
    title: 'AlmaLinux errata (OSV)',
    publisher: 'AlmaLinux OS Foundation, exported by OSV.dev',
    licence: 'MIT (AlmaLinux/osv-database)',
  },
  {
    ecosystem: 'almalinux',
    name: 'AlmaLinux',
    packageKind: 'binary',
    advisoryIds: /^AL[SBE]A-/u,
    vulnerabilityPrefix: null,
    scorer: 'almalinux-osv',
    place: (release) => (release === '' ? 'release_missing' : { release, channel: null }),
    // A bug fix or an enhancement without a CVE is no vulnerability.
    isOwnVulnerability: ({ id }) => id.startsWith('ALSA-'),
    cvesElsewhere: (record) => (record.id.startsWith('ALSA-') ? cvesOfErratum(record) : []),
    advisoryUrl(record) {
      const page = record.references?.find(({ url }) => url.startsWith('https://errata.almalinux.org/'));
      if (page !== undefined) return page.url;
      const release = /^AlmaLinux:([0-9]+)$/u.exec(record.affected?.[0]?.package?.ecosystem ?? '')?.[1];
      return release === undefined
        ? null
        : `https://errata.almalinux.org/${release}/${record.id.replace(':', '-')}.html`;
    },
    isRpm: true,
    readsIntroduced: true,
    note: () => null,
    fixState: () => 'none_yet',
  },
);
