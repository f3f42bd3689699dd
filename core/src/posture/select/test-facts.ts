/** For tests: facts of small fleets at random, of several releases, with what is undetermined, unknown, stale and not reported. */
import fc from 'fast-check';
import type { SourcedScore } from '../../knowledge/score.ts';
import type { SourcedThreat } from '../../knowledge/threat.ts';
import type { Criticality } from '../../risk/asset-risk.ts';
import type { AssetFacts, SoftwareFacts, VerdictFacts, VulnerabilityFacts } from '../facts.ts';
import type { PlainFacts } from './test-fleet.ts';

export const now = Date.UTC(2026, 10, 22, 12);
export const day = 86_400_000;
const epoch = Date.UTC(2020, 0, 1);
const secondsAgo = (days: number): number => (now - days * day - epoch) / 1000;

const ids = ['CVE-2024-1', 'CVE-2024-2', 'CVE-2025-3', 'TEMP-4'];

const verdictArb = (vulnerability: string, ecosystem: string): fc.Arbitrary<VerdictFacts> =>
  fc
    .record({
      verdict: fc.constantFrom('vulnerable' as const, 'vulnerable' as const, 'undetermined' as const),
      fix: fc.constantFrom('1.5', '2.0', '2.10', '3.0', 'no version of it', null),
      fixState: fc.constantFrom('none_yet', 'will_not_fix', 'unknown'),
      restart: fc.boolean(),
      since: fc.constantFrom(now - 2 * day, now - 40 * day, now - 400 * day),
    })
    .map(({ verdict, fix, fixState, restart, since }) => ({
      vulnerability,
      verdict,
      since,
      fixState: fix === null ? (verdict === 'undetermined' ? 'unknown' : fixState) : 'available',
      fixedVersion: ecosystem === 'windows' ? null : fix,
      update:
        ecosystem === 'windows' && fix !== null
          ? { id: `KB${fix.length}`, build: fix === '3.0' ? null : '10.0.17763.1', restart }
          : null,
    }));

const kinds = [
  { ecosystem: 'debian', release: '11', name: 'openssl', package: 'openssl' },
  { ecosystem: 'debian', release: '12', name: 'openssl', package: 'openssl' },
  { ecosystem: 'debian', release: '12', name: 'libssl3', package: 'openssl' },
  { ecosystem: 'debian', release: '12', name: 'curl', package: 'curl' },
  { ecosystem: 'debian', release: '12', name: 'linux-image-6.1.0-25-amd64', package: 'linux' },
  { ecosystem: 'almalinux', release: '9', name: 'openssl', package: 'openssl' },
  { ecosystem: 'windows', release: '', name: 'Windows Server 2019', package: 'Windows Server 2019' },
] as const;

const softwareArb = (id: number): fc.Arbitrary<SoftwareFacts> =>
  fc
    .record({
      kind: fc.constantFrom(...kinds),
      version: fc.constantFrom('1.0', '1.9', '2.5', '???'),
      origin: fc.constantFrom('distribution' as const, 'third_party' as const, 'unknown' as const),
      has: fc.subarray(ids),
    })
    .chain(({ kind, version, origin, has }) =>
      fc.tuple(...has.map((each) => verdictArb(each, kind.ecosystem))).map((verdicts) => ({
        ...kind,
        id,
        version,
        arch: id % 2 === 0 ? 'amd64' : 'arm64',
        source: kind.name === 'libssl3' ? 'openssl' : kind.name,
        origin,
        vendor: origin === 'third_party' ? 'NodeSource' : null,
        kernel: kind.package === 'linux',
        verdicts,
      })),
    );

function scoreOf(vulnerability: string, scorer: string, baseScore: number): SourcedScore {
  const vector = `CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:${baseScore > 9 ? 'H' : 'N'}`;
  const feed = scorer === 'nvd' ? 'nvd' : 'redhat-csaf';
  return {
    feed,
    record: vulnerability,
    score: { kind: 'cvss', vulnerability, scorer, version: '3.1', vector, baseScore },
  };
}

function threatOf(vulnerability: string, threat: Partial<SourcedThreat['threat']>): SourcedThreat {
  return {
    feed: 'cisa-kev',
    record: vulnerability,
    threat: {
      kind: 'threat',
      vulnerability,
      threat: 'exploited',
      probability: null,
      percentile: null,
      ransomware: null,
      ssvc: null,
      assertedOn: '2026-03-01',
      dueOn: null,
      title: null,
      reference: null,
      ...threat,
    },
  };
}

const vulnerabilityArb = (id: string): fc.Arbitrary<VulnerabilityFacts> =>
  fc.record({
    id: fc.constant(id),
    aliases: fc.constantFrom([], ['GHSA-1']),
    title: fc.constantFrom(null, 'A flaw', 'openssl breaks'),
    publishedAt: fc.constantFrom(null, now - 3 * day, now - 300 * day),
    withdrawn: fc.boolean(),
    scores: fc.subarray([scoreOf(id, 'nvd', 9.8), scoreOf(id, 'redhat', 5.3)]),
    threats: fc.subarray([
      threatOf(id, { dueOn: '2026-11-30', ransomware: true }),
      threatOf(id, { threat: 'exploit_probability', probability: 0.3, assertedOn: '2026-11-20' }),
      threatOf(id, { threat: 'exploit_public' }),
    ]),
  });

const assetArb = (id: number, software: readonly SoftwareFacts[]): fc.Arbitrary<AssetFacts> =>
  fc
    .record({
      installed: fc.subarray(software.map((each) => each.id)),
      inert: fc.boolean(),
      stale: fc.option(fc.constantFrom(...software.map((each) => each.id)), { freq: 3 }),
      kind: fc.constantFrom('process' as const, 'file' as const),
      days: fc.constantFrom(1, 10, 30, 800),
      hostname: fc.constantFrom('web-1', 'web-2', 'db-1'),
      os: fc.constantFrom('debian', 'almalinux', 'windows'),
      retired: fc.constantFrom(false, false, false, false, true),
      reported: fc.constantFrom(true, true, true, false),
      role: fc.constantFrom('web', 'db', null),
      region: fc.constantFrom('eu-west-1', null),
      rebootRequired: fc.boolean(),
      remediated: fc.boolean(),
      kept: fc.option(
        fc.record({ finding: fc.constantFrom('CVE-2024-1\topenssl', 'CVE-2025-3\tcurl'), days: fc.nat(40) }),
        { freq: 3 },
      ),
    })
    .map((of) => ({
      id,
      uid: `00000000-0000-4000-8000-00000000000${id}`,
      hostname: of.hostname,
      mode: id % 2 === 0 ? ('manage' as const) : ('assess' as const),
      os: of.os,
      osRelease: of.os === 'debian' ? '12' : '9',
      arch: 'amd64',
      agentVersion: `0.${id}.0`,
      enrolledAt: now - of.days * day,
      retired: of.retired,
      criticalitySet: null,
      attributes: of.role === null ? {} : { role: of.role },
      host: of.reported
        ? {
            addresses: [`10.0.0.${id}`, 'none'],
            bootedAt: id % 3 === 0 ? null : now - of.days * day,
            runningKernel: '6.1.0-24',
            machine: id % 2 === 0 ? ('container' as const) : ('physical_or_virtual' as const),
            rebootRequired: of.rebootRequired,
            held: ['curl'],
            activeUnits: ['nginx.service'],
            failedUnits: [],
            cloud: of.region === null ? null : { region: of.region },
          }
        : null,
      software: of.installed,
      since: of.installed.map(() => secondsAgo(of.days)),
      inert: of.inert
        ? of.installed.filter((one) => software.some((each) => each.id === one && each.kernel))
        : [],
      nextKernel: null,
      stale: of.stale === null ? [] : [{ software: of.stale, since: secondsAgo(5), kind: of.kind }],
      mitigations: [],
      remediatedBefore: of.remediated ? ['CVE-2024-1\topenssl', 'CVE-2025-3\tcurl'] : [],
      firstSeen: of.kept === null ? {} : { [of.kept.finding]: secondsAgo(of.kept.days) },
    }));

export const factsArb: fc.Arbitrary<PlainFacts> = fc
  .tuple(...[1, 2, 3, 4, 5, 6].map(softwareArb))
  .chain((software) =>
    fc.record({
      software: fc.constant(software),
      assets: fc.tuple(...[1, 2, 3, 4, 5].map((id) => assetArb(id, software))),
      vulnerabilities: fc.tuple(...[...ids, 'CVE-2026-5'].map(vulnerabilityArb)),
      contacts: fc
        .subarray([1, 2, 3, 4, 5])
        .map((seen) =>
          seen.map((id) => ({ id, lastSeenAt: now - id * day, nextCheckInSeconds: 2 * 86_400 })),
        ),
      tags: fc
        .array(fc.array(fc.constantFrom('in', 'out', 'unknown'), { minLength: 6, maxLength: 6 }), {
          minLength: 2,
          maxLength: 2,
        })
        .map(
          ([web = [], db = []]) =>
            new Map(
              Object.entries({ web, db }).map(([name, list]) => [
                name,
                {
                  holds: list.flatMap((each, id) => (each === 'in' ? [id] : [])),
                  fails: list.flatMap((each, id) => (each === 'out' ? [id] : [])),
                },
              ]),
            ),
        ),
      levels: fc.array(fc.constantFrom<Criticality>(1, 3, 5), { minLength: 6, maxLength: 6 }),
      risks: fc.array(fc.constantFrom(0, 50, 500), { minLength: 6, maxLength: 6 }),
      accepted: fc.subarray([1, 2, 3, 4, 5]).map((on) => new Map([['openssl', on]])),
      acceptedUntil: fc.constant(now + 10 * day),
      slaRules: fc.subarray([
        {
          name: 'exploited',
          when: { exploited: true, anyTag: ['web'] },
          days: 15,
          kevDueDate: 'if_earlier' as const,
        },
        { name: 'grave', when: { scoreAtLeast: 70, criticalityAtLeast: 3 }, days: 30 },
        { name: 'rest', when: {}, days: 90 },
      ]),
    }),
  );
