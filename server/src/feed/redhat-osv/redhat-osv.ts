import type { Feed } from '../feed.ts';
import { cvesOfErratum, type Placing } from '../osv/dialect.ts';
import { osvFeed } from '../osv/osv-feed.ts';
import type { OsvAffected } from '../osv/osv-record.ts';

/** Red Hat's errata; see README.md beside this file for what each field becomes. */
export const redhatOsv: Feed = osvFeed(
  {
    id: 'redhat-osv',
    title: 'Red Hat errata (OSV)',
    publisher: 'Red Hat Product Security, exported by OSV.dev',
    licence: 'CC-BY 4.0 (Red Hat security data)',
  },
  {
    ecosystem: 'redhat',
    name: 'Red Hat',
    packageKind: 'binary',
    advisoryIds: /^RH[SBE]A-/u,
    vulnerabilityPrefix: null,
    scorer: 'redhat-osv',
    place: redhatPlace,
    isOwnVulnerability: ({ id }) => id.startsWith('RHSA-'),
    cvesElsewhere: (record) => (record.id.startsWith('RHSA-') ? cvesOfErratum(record) : []),
    advisoryUrl: ({ id }) => `https://access.redhat.com/errata/${id}`,
    isRpm: true,
    readsIntroduced: true,
    note: () => null,
    fixState: () => 'none_yet',
  },
);

/** RHEL, and the longer support of its minor releases. */
const rhel = /^(?:enterprise_linux|rhel_els|(?:rhel|enterprise_linux)_(eus|aus|e4s|tus|eus_long_life))$/u;

/**
 * The qualifier is the end of the product's CPE, `product:version:update:edition`, such as `rhel_eus:9.2::appstream`. The
 * release is the `el9` that a layered product is built for, the major version of RHEL itself, or the `el9` in the version of
 * the package; an entry without any of these is for no release of RHEL (`elsewhere`).
 */
export function redhatPlace(qualifier: string, affected: OsvAffected): Placing {
  const [product = '', version = '', , edition = ''] = qualifier.split(':');
  if (product === '') return 'release_missing';
  const major = /^([0-9]+)(?:\.[0-9]+)?$/u.exec(version)?.[1];
  const release =
    /^el([0-9]+)$/u.exec(edition)?.[1] ??
    (rhel.test(product) ? major : distributionTag(affected)) ??
    (product.startsWith('rhel_') ? major : undefined);
  if (release === undefined) return 'elsewhere';
  return { release, channel: channelOf(product, version, edition) };
}

function channelOf(product: string, version: string, edition: string): string | null {
  // Open vSwitch and what belongs to it, in builds of its own (`el9fdp`); all other editions are RHEL's repositories.
  if (product === 'enterprise_linux') return edition === 'fastdatapath' ? 'product:fastdatapath' : null;
  // Extended life-cycle support is of the last minor release, and so of the release.
  if (product === 'rhel_els') return 'els';
  const support = rhel.exec(product)?.[1];
  return support === undefined ? `product:${product}:${version}` : `${support}:${version}`;
}

function distributionTag(affected: OsvAffected): string | undefined {
  for (const { events } of affected.ranges ?? []) {
    for (const { fixed } of events) {
      const tag = /\.(?:module[+_])?el([0-9]+)/u.exec(fixed ?? '')?.[1];
      if (tag !== undefined) return tag;
    }
  }
  return undefined;
}
