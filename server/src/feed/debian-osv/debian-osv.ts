import type { Feed } from '../feed.ts';
import type { OsvRecord } from '../osv/osv-record.ts';
import { osvFeed } from '../osv/osv-feed.ts';

const endOfLife = /end.of.(?:life|support)/iu;

/** Facts of one Debian advisory or CVE record; see README.md beside this file for what each field becomes. */
export const debianOsv: Feed = osvFeed(
  {
    id: 'debian-osv',
    title: 'Debian advisories and CVE status (OSV)',
    publisher: 'Debian Security Tracker, converted by OSV.dev',
    licence: 'Debian public data; CVE descriptions: CVE Program terms of use',
  },
  {
    ecosystem: 'debian',
    name: 'Debian',
    packageKind: 'source',
    advisoryIds: /^(?:DSA|DLA|DTSA)-/u,
    vulnerabilityPrefix: 'DEBIAN-',
    scorer: 'nvd-via-osv',
    place: (release) => (release === '' ? 'release_missing' : { release, channel: null }),
    isOwnVulnerability,
    advisoryUrl: ({ id }) => `https://security-tracker.debian.org/tracker/${id}`,
    isRpm: false,
    readsIntroduced: false,
    note(_record, affected) {
      const urgency = affected.ecosystem_specific?.urgency ?? null;
      // The tracker's word for nobody having said anything.
      return urgency === 'not yet assigned' ? null : urgency;
    },
    fixState: (record, urgency) =>
      urgency === 'end-of-life' || endOfLife.test(record.summary ?? '') ? 'end_of_life' : 'none_yet',
  },
);

/** A later revision (`-2`) without CVEs repairs a regression: it fixes no vulnerability. */
function isOwnVulnerability(record: OsvRecord): boolean {
  return record.id.endsWith('-1') && !endOfLife.test(record.summary ?? '');
}
