import { plainStatement, type StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import type { OsvDialect } from './dialect.ts';
import { isModular, readRange, streamsOf, versionToReach } from './fix.ts';
import type { OsvAffected, OsvRecord } from './osv-record.ts';
import { isCve } from '../record.ts';

export type Complain = (code: string, message: string) => void;

/** What one entry says, before it is said of each vulnerability. */
interface Claim {
  readonly affected: OsvAffected;
  readonly package: string;
  readonly release: string;
  readonly channel: string | null;
  readonly module: string | null;
  readonly status: StatementFact['status'];
  readonly introducedVersion: string | null;
  readonly fixedVersion: string | null;
  readonly vulnerabilities: readonly string[];
}

/**
 * A record's statements: each entry of the dialect's ecosystem, for each vulnerability. Entries that say the same (an RPM
 * in two repositories of a release, an apk for two architectures) are said once.
 *
 * @param advisory the id of the notice, when the record is one
 */
export function statementsOf(
  dialect: OsvDialect,
  record: OsvRecord,
  vulnerabilities: readonly string[],
  advisory: string | null,
  complain: Complain,
): StatementFact[] {
  const claims: Claim[] = [];
  for (const affected of record.affected ?? []) {
    claims.push(...claimsOf(dialect, record, affected, vulnerabilities, complain));
  }
  const statedAt = advisory === null ? record.modified : (record.published ?? record.modified);
  const facts: StatementFact[] = [];
  for (const claim of withoutRepeats(claims, dialect.isRpm)) {
    const { affected, vulnerabilities: concerned, ...said } = claim;
    for (const vulnerability of concerned) {
      const undetermined = said.status === 'undetermined';
      const note = undetermined
        ? 'the affected range in the record cannot be read'
        : dialect.note(record, affected, vulnerability);
      facts.push({
        ...plainStatement,
        ...said,
        vulnerability,
        ecosystem: dialect.ecosystem,
        packageKind: dialect.packageKind,
        fixState: undetermined
          ? 'none_yet'
          : said.status === 'affected'
            ? dialect.fixState(record, note)
            : 'available',
        note,
        advisory,
        statedAt,
      });
    }
  }
  return facts;
}

function claimsOf(
  dialect: OsvDialect,
  record: OsvRecord,
  affected: OsvAffected,
  vulnerabilities: readonly string[],
  complain: Complain,
): Claim[] {
  // A record may also carry entries of other ecosystems, and the upstream's git ranges without a package.
  const { ecosystem = '', name } = affected.package ?? {};
  const rest = ecosystem.slice(dialect.name.length);
  if (!ecosystem.startsWith(dialect.name) || (rest !== '' && !rest.startsWith(':'))) return [];
  if (name === undefined) {
    complain('package_missing', `an entry for ${ecosystem} names no package`);
    return [];
  }
  const place = dialect.place(rest.slice(1), affected);
  if (place === 'elsewhere') return [];
  if (place === 'release_missing') {
    complain('release_missing', `the entry for ${name} names no release of ${dialect.name}`);
    return [];
  }
  const mapped = (affected.database_specific?.cves_map?.cves ?? []).map(({ id }) => id).filter(isCve);
  const concerned = mapped.length === 0 ? vulnerabilities : mapped;
  const common = { affected, package: name, ...place, vulnerabilities: concerned };
  const range = readRange(affected, dialect.readsIntroduced);
  if (range === null) {
    complain(
      'range_unsupported',
      `the range for ${name} in ${ecosystem} is not "from ${dialect.readsIntroduced ? 'one version' : '0'}, fixed in one version"`,
    );
    // Which versions are affected is not known, so it is said that this is not known.
    return [{ ...common, module: null, status: 'undetermined', introducedVersion: null, fixedVersion: null }];
  }
  // Fixed version 0 is the way to write "was never affected".
  const fixed = range.fixed === '0' ? null : range.fixed;
  const status = range.fixed === '0' ? 'not_affected' : fixed === null ? 'affected' : 'fixed';
  const modules =
    dialect.isRpm && fixed !== null && isModular(fixed) ? streamsOf(record, affected) : plainModule;
  return modules.map((module) => ({
    ...common,
    module,
    status,
    introducedVersion: range.introduced,
    fixedVersion: fixed,
  }));
}

const plainModule: readonly (string | null)[] = [null];

function withoutRepeats(claims: readonly Claim[], isRpm: boolean): Iterable<Claim> {
  if (claims.length < 2) return claims;
  const kept = new Map<string, Claim[]>();
  for (const claim of claims) {
    const { package: name, release, channel, module, status, introducedVersion, fixedVersion } = claim;
    const key = [
      name,
      release,
      channel ?? '-',
      module ?? '-',
      status,
      introducedVersion ?? '-',
      isRpm ? '' : `${fixedVersion ?? '-'} ${claim.vulnerabilities.join(' ')}`,
    ].join('\n');
    const same = kept.get(key);
    if (same === undefined) kept.set(key, [claim]);
    else if (!same.some((other) => other.fixedVersion === fixedVersion)) same.push(claim);
  }
  return [...kept.values()].flatMap((same) => {
    if (same.length === 1) return same;
    const reach = versionToReach(same.map(({ fixedVersion }) => fixedVersion ?? ''));
    return reach === null ? same : same.filter(({ fixedVersion }) => fixedVersion === reach);
  });
}
