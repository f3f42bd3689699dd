import type { OsvDialect, Placing } from './dialect.ts';
import { cvesOfReferences } from './dialect.ts';
import type { OsvRecord } from './osv-record.ts';

/** What SUSE's notices have in common: those for SUSE Linux Enterprise and those for openSUSE are published as one. */
export const suseNotices: Omit<OsvDialect, 'ecosystem' | 'name' | 'place' | 'scorer'> = {
  packageKind: 'source',
  advisoryIds: /^(?:open)?SUSE-(?:SU|RU|FU|OU)-/u,
  vulnerabilityPrefix: null,
  // Recommended, feature and optional updates without a CVE are no vulnerabilities.
  isOwnVulnerability: ({ id }) => isSecurity(id),
  cvesElsewhere: (record) => (isSecurity(record.id) ? cvesOfReferences(record) : []),
  advisoryUrl,
  isRpm: true,
  readsIntroduced: true,
  note: () => null,
  fixState: () => 'none_yet',
};

function isSecurity(id: string): boolean {
  return /^(?:open)?SUSE-SU-/u.test(id);
}

function advisoryUrl(record: OsvRecord): string | null {
  return record.references?.find(({ type }) => type === 'ADVISORY')?.url ?? null;
}

/**
 * A product's name as SUSE writes it, such as `Linux Enterprise Module for Basesystem 15 SP5` or `Linux Enterprise Server
 * 12 SP5-LTSS`: its name, the release as os-release(5) counts it (`15.5`), and what stands after it.
 */
export function suseProduct(text: string): { name: string; release: string; suffix: string } | null {
  const form = /^(.*?)[ -]([0-9]+(?:\.[0-9]+)?)(?:[ -]SP([0-9]+))?(?:[ -]([A-Za-z].*))?$/u.exec(text);
  if (form === null) return null;
  const [, name = '', version = '', servicePack, suffix = ''] = form;
  return { name, release: servicePack === undefined ? version : `${version}.${servicePack}`, suffix };
}

/** Where a SUSE Linux Enterprise product's packages belong: everything that a server may have is the release's own. */
export function susePlace(qualifier: string): Placing {
  if (qualifier === '') return 'release_missing';
  const product = suseProduct(qualifier);
  // A product without a version, such as `Package Hub`, cannot be told apart by release.
  if (product === null) return 'elsewhere';
  const { name, release, suffix } = product;
  if (
    /^Linux Enterprise (?:Server|Desktop|Software Development Kit|Module for .*|.* Extension)$/u.test(name)
  ) {
    return { release, channel: suffix === '' ? null : suffix.toLowerCase().replaceAll(' ', '-') };
  }
  // `Linux Enterprise Server LTSS Extended Security 12 SP5`
  const extended = /^Linux Enterprise Server (LTSS.*)$/u.exec(name)?.[1];
  if (extended !== undefined) return { release, channel: extended.toLowerCase().replaceAll(' ', '-') };
  return { release, channel: `product:${suffix === '' ? name : `${name} ${suffix}`}` };
}

/** Where an openSUSE product's packages belong. Tumbleweed rolls and has no release. */
export function opensusePlace(qualifier: string): Placing {
  if (qualifier === '') return 'release_missing';
  if (qualifier === 'Tumbleweed') return { release: '', channel: null };
  const product = suseProduct(qualifier);
  if (product === null) return 'elsewhere';
  const { name, release, suffix } = product;
  if (name === 'Leap')
    return { release, channel: suffix === '' || suffix === 'NonFree' ? null : `product:Leap ${suffix}` };
  return { release, channel: `product:${suffix === '' ? name : `${name} ${suffix}`}` };
}
