import type { Feed } from '../feed.ts';
import { cvesOfReferences, type Placing } from '../osv/dialect.ts';
import { osvFeed } from '../osv/osv-feed.ts';
import type { OsvAffected, OsvRecord } from '../osv/osv-record.ts';

/** Ubuntu's CVE status and security notices; see README.md beside this file for what each field becomes. */
export const ubuntuOsv: Feed = osvFeed(
  {
    id: 'ubuntu-osv',
    title: 'Ubuntu security notices and CVE status (OSV)',
    publisher: 'Canonical, exported by OSV.dev',
    licence: 'CC-BY-SA 4.0 (Canonical)',
  },
  {
    ecosystem: 'ubuntu',
    name: 'Ubuntu',
    packageKind: 'source',
    advisoryIds: /^(?:USN|LSN)-/u,
    vulnerabilityPrefix: 'UBUNTU-',
    scorer: 'ubuntu-osv',
    place: ubuntuPlace,
    isOwnVulnerability: (record) =>
      record.id.startsWith('USN-') && record.id.endsWith('-1') && !isRegressionFix(record),
    // A Livepatch notice names kernels and the version of the patch module that is loaded into them, no package to install.
    statesPackages: ({ id }) => !id.startsWith('LSN-'),
    // What repairs a regression names the CVE whose fix caused it, and does not fix that CVE.
    cvesElsewhere: (record) => (isRegressionFix(record) ? [] : cvesOfReferences(record)),
    advisoryUrl: ({ id }) => `https://ubuntu.com/security/notices/${id}`,
    isRpm: false,
    readsIntroduced: true,
    note: noteOf,
    fixState: () => 'none_yet',
  },
);

function isRegressionFix(record: OsvRecord): boolean {
  return /\bregressions?\b/iu.test(record.summary ?? '');
}

/**
 * `22.04:LTS` and `23.10` are a release; with `Pro` it is Ubuntu Pro's, and what else is said names a build of its own:
 * `Pro:FIPS-updates:20.04:LTS` → `fips-updates`, `Pro:22.04:LTS:Realtime:Kernel` → `realtime`,
 * `22.04:LTS:for:NVIDIA:BlueField` → `nvidia-bluefield`. For 16.04 the archives `fips` and `fips-updates` are both called
 * FIPS; the purl tells them apart (`distro=fips-updates/xenial`).
 */
export function ubuntuPlace(qualifier: string, affected: OsvAffected): Placing {
  const words = qualifier.split(':');
  const release = words.find((word) => /^[0-9]+\.[0-9]+$/u.test(word));
  if (release === undefined) return 'release_missing';
  const said = words.filter((word) => word !== release).map((word) => word.toLowerCase());
  const build = said.filter((word) => !['pro', 'lts', 'for', 'kernel', ''].includes(word)).join('-');
  if (build === '') return { release, channel: said.includes('pro') ? 'pro' : null };
  const archive = /[?&]distro=(fips[a-z-]*)\//u.exec(affected.package?.purl ?? '')?.[1];
  return { release, channel: archive ?? build };
}

/** Ubuntu's priority, and the reason where one is given: `low: OpenSSL developers have rated this issue to be low severity`. */
function noteOf(record: OsvRecord, affected: OsvAffected, vulnerability: string): string | null {
  const mapped = affected.database_specific?.cves_map?.cves?.find(({ id }) => id === vulnerability);
  const severity = mapped?.severity ?? record.severity ?? [];
  const priority = severity.find(({ type }) => type === 'Ubuntu')?.score ?? null;
  const reason = affected.ecosystem_specific?.priority_reason;
  return priority === null || reason === undefined ? priority : `${priority}: ${reason.trim()}`;
}
