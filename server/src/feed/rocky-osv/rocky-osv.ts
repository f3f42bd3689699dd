import type { Feed } from '../feed.ts';
import { cvesOfErratum, type Placing } from '../osv/dialect.ts';
import { osvFeed } from '../osv/osv-feed.ts';
import type { OsvAffected } from '../osv/osv-record.ts';

/** Rocky Linux errata; see README.md beside this file for what each field becomes. */
export const rockyOsv: Feed = osvFeed(
  {
    id: 'rocky-osv',
    title: 'Rocky Linux errata (OSV)',
    publisher: 'Rocky Enterprise Software Foundation, exported by OSV.dev',
    licence: 'BSD 3-Clause (as OSV.dev lists it)',
  },
  {
    ecosystem: 'rocky',
    name: 'Rocky Linux',
    packageKind: 'source',
    advisoryIds: /^(?:RL[SBE]A|RXSA)-/u,
    vulnerabilityPrefix: null,
    scorer: 'rocky-osv',
    place: rockyPlace,
    isOwnVulnerability: ({ id }) => isSecurity(id),
    cvesElsewhere: (record) => (isSecurity(record.id) ? cvesOfErratum(record) : []),
    advisoryUrl: ({ id }) => `https://errata.rockylinux.org/${id}`,
    isRpm: true,
    readsIntroduced: true,
    note: () => null,
    fixState: () => 'none_yet',
  },
);

function isSecurity(id: string): boolean {
  return /^R[LX]SA-/u.test(id);
}

/**
 * The builds of a special interest group (`distro=rocky-linux-8-sig-cloud`, the `.cloud` kernels of RXSA) are a product
 * beside the release. `-legacy` and architectures in `distro` are the release's own repositories, at another time or place.
 */
function rockyPlace(qualifier: string, affected: OsvAffected): Placing {
  const release = /^[0-9]+/u.exec(qualifier)?.[0];
  if (release === undefined) return 'release_missing';
  const group = /[?&]distro=[^&]*-(sig-[a-z0-9-]+)/u.exec(affected.package?.purl ?? '')?.[1];
  return { release, channel: group === undefined ? null : `product:${group}` };
}
