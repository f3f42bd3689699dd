import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainStatement, type FeedId, type StatementFact } from './facts.ts';
import { decideAll } from './decision.ts';
import { uniteStatements, type SourcedStatement } from './union.ts';

function said(feed: FeedId, record: string, statement: Partial<StatementFact>): SourcedStatement {
  return {
    feed,
    record,
    statement: {
      ...plainStatement,
      vulnerability: 'CVE-2023-4806',
      ecosystem: 'debian',
      release: '12',
      package: 'glibc',
      status: 'fixed',
      fixState: 'available',
      ...statement,
    },
  };
}

// Real rows: OSV 2025-02 and the changelog of glibc 2.36 differ by one revision.
const osvGlibc = said('debian-osv', 'CVE-2023-4806', {
  fixedVersion: '2.36-9+deb12u3',
  note: 'unimportant',
});
const changelogGlibc = said('debian-changelog', 'glibc/2.36-9+deb12u2', { fixedVersion: '2.36-9+deb12u2' });

describe('the union of Debian’s sources', () => {
  test('OSV’s fixed version is taken before a changelog’s, and the difference is kept', () => {
    expect(uniteStatements([changelogGlibc, osvGlibc])).toMatchObject({
      status: 'fixed',
      fixedVersion: '2.36-9+deb12u3',
      decidedBy: osvGlibc,
      disagreements: [changelogGlibc],
    });
  });

  test('the tracker’s goes before both', () => {
    const tracker = said('debian-tracker', 'glibc/CVE-2023-4806', { fixedVersion: '2.36-9+deb12u2' });
    expect(uniteStatements([changelogGlibc, osvGlibc, tracker])).toMatchObject({
      fixedVersion: '2.36-9+deb12u2',
      evidence: [tracker, osvGlibc, changelogGlibc],
      disagreements: [osvGlibc],
    });
  });

  test('of changelog entries the lowest version is the fix (linux, CVE-2024-27022)', () => {
    const entries = ['6.1.192-1', '6.1.90-1'].map((version) =>
      said('debian-changelog', `linux/${version}`, { package: 'linux', fixedVersion: version }),
    );
    expect(uniteStatements(entries)).toMatchObject({ fixedVersion: '6.1.90-1' });
  });

  test('"not fixed yet" yields to a fix named elsewhere (curl, CVE-2024-11053)', () => {
    const open = said('debian-osv', 'CVE-2024-11053', {
      status: 'affected',
      fixState: 'none_yet',
      note: 'unimportant',
    });
    const upload = said('debian-changelog', 'curl/7.88.1-10+deb12u10', {
      fixedVersion: '7.88.1-10+deb12u10',
    });
    expect(uniteStatements([open, upload])).toMatchObject({
      status: 'fixed',
      fixedVersion: '7.88.1-10+deb12u10',
      fixState: 'available',
      disagreements: [open],
    });
    expect(uniteStatements([open])).toMatchObject({
      status: 'affected',

      fixedVersion: null,
      fixState: 'none_yet',
    });
  });

  test('an embargoed fix that no changelog names comes with its advisory (openssh, CVE-2024-6387)', () => {
    const record = said('debian-osv', 'CVE-2024-6387', {
      package: 'openssh',
      fixedVersion: '1:9.2p1-2+deb12u3',
    });
    const advisory = said('debian-osv', 'DSA-5724-1', {
      package: 'openssh',
      fixedVersion: '1:9.2p1-2+deb12u3',
      advisory: 'DSA-5724-1',
    });
    expect(uniteStatements([advisory, record])).toMatchObject({
      fixedVersion: '1:9.2p1-2+deb12u3',
      advisory: 'DSA-5724-1',
      disagreements: [],
    });
  });

  test('a second revision of an advisory does not move the fix', () => {
    const revisions = [
      said('debian-osv', 'DSA-5729-2', { fixedVersion: '2.4.61-1~deb12u1', advisory: 'DSA-5729-2' }),
      said('debian-osv', 'DSA-5729-1', { fixedVersion: '2.4.59-1~deb12u1', advisory: 'DSA-5729-1' }),
    ];
    expect(uniteStatements(revisions)).toMatchObject({
      fixedVersion: '2.4.59-1~deb12u1',
      advisory: 'DSA-5729-1',
    });
  });

  test('not affected outranks every version, a withdrawal outranks everything', () => {
    const notAffected = said('debian-tracker', 'glibc/CVE-2023-4806', { status: 'not_affected' });
    expect(uniteStatements([osvGlibc, changelogGlibc, notAffected])).toMatchObject({
      status: 'not_affected',
      fixedVersion: null,
      disagreements: [osvGlibc, changelogGlibc],
    });
    const withdrawal = {
      feed: 'cve-list',
      record: 'CVE-2023-4806',
      withdrawnAt: '2024-01-01T00:00:00Z',
    } as const;
    expect(uniteStatements([osvGlibc, notAffected], [withdrawal])).toMatchObject({
      status: 'withdrawn',
      withdrawal,
    });
    expect(uniteStatements([], [withdrawal])?.status).toBe('withdrawn');
  });

  test('not affected by an older conversion does not outrank what the vendor’s own tracker says', () => {
    const converted = said('debian-osv', 'CVE-2023-4806', { status: 'not_affected' });
    const tracked = said('debian-tracker', 'glibc/CVE-2023-4806', {
      status: 'affected',
      fixState: 'none_yet',
    });
    expect(uniteStatements([converted, tracked])).toMatchObject({
      status: 'affected',
      disagreements: [converted],
    });
    const fixed = { ...tracked, statement: { ...osvGlibc.statement } };
    expect(uniteStatements([converted, fixed])).toMatchObject({
      status: 'fixed',
      disagreements: [converted],
    });
  });

  test('decideAll makes one decision a package and vulnerability, with disagreements as sentences', () => {
    const elsewhere = said('debian-osv', 'CVE-2023-4806', {
      release: '11',
      status: 'affected',
      fixState: 'none_yet',
    });
    const other = said('debian-osv', 'CVE-2023-9', { vulnerability: 'CVE-2023-9', fixedVersion: '1' });
    const decisions = decideAll([changelogGlibc, elsewhere, osvGlibc, other], new Set(['CVE-2023-9']));
    expect(decisions).toEqual([
      {
        vulnerability: 'CVE-2023-4806',
        ecosystem: 'debian',
        release: '12',
        package: 'glibc',
        packageKind: 'source',
        module: null,
        status: 'fixed',
        introducedVersion: null,
        fixedVersion: '2.36-9+deb12u3',
        updates: [],
        channel: null,
        branchFixes: [],
        fixState: 'available',
        note: 'unimportant',
        advisory: null,
        feed: 'debian-osv',
        record: 'CVE-2023-4806',
        disagreements: ['debian-changelog (glibc/2.36-9+deb12u2): fixed in 2.36-9+deb12u2'],
      },
      expect.objectContaining({ release: '11', status: 'affected', disagreements: [] }),
    ]);
  });

  test('a fix that only a support channel has is taken, with the channel; the release’s own goes before it', () => {
    const ubuntu = { ecosystem: 'ubuntu', release: '20.04', package: 'openssl' } as const;
    const pro = said('ubuntu-osv', 'UBUNTU-CVE-1', {
      ...ubuntu,
      channel: 'pro',
      fixedVersion: '1.1.1f-1ubuntu2.24+esm1',
    });
    const open = said('ubuntu-osv', 'UBUNTU-CVE-1', { ...ubuntu, status: 'affected', fixState: 'none_yet' });
    expect(decideAll([pro])).toMatchObject([
      { status: 'fixed', channel: 'pro', fixedVersion: '1.1.1f-1ubuntu2.24+esm1' },
    ]);
    expect(decideAll([open, pro])).toMatchObject([{ status: 'fixed', channel: 'pro' }]);
    const own = said('ubuntu-osv', 'UBUNTU-CVE-1', { ...ubuntu, fixedVersion: '1.1.1f-1ubuntu2.20' });
    expect(decideAll([pro, own])).toMatchObject([{ channel: null, fixedVersion: '1.1.1f-1ubuntu2.20' }]);
    const never = said('ubuntu-osv', 'UBUNTU-CVE-1', { ...ubuntu, status: 'not_affected' });
    expect(decideAll([pro, never])).toMatchObject([{ status: 'not_affected' }]);
  });

  test('branches stand beside the release’s own fix, and alone decide nothing about the rest', () => {
    const redhat = {
      ecosystem: 'redhat',
      release: '9',
      package: 'openssl-libs',
      packageKind: 'binary',
    } as const;
    const eus = said('redhat-osv', 'RHSA-2', {
      ...redhat,
      channel: 'eus:9.2',
      fixedVersion: '1:3.0.7-18.el9_2',
      advisory: 'RHSA-2',
    });
    const own = said('redhat-osv', 'RHSA-1', {
      ...redhat,
      fixedVersion: '1:3.0.7-25.el9_3',
      advisory: 'RHSA-1',
    });
    const branchFixes = [
      {
        channel: 'eus:9.2',
        fixedVersion: '1:3.0.7-18.el9_2',
        advisory: 'RHSA-2',
        feed: 'redhat-osv',
        record: 'RHSA-2',
      },
    ];
    expect(decideAll([eus, own])).toMatchObject([
      { status: 'fixed', fixedVersion: '1:3.0.7-25.el9_3', branchFixes },
    ]);
    expect(decideAll([eus])).toMatchObject([{ status: 'branch_only', fixedVersion: null, branchFixes }]);
  });

  test('module streams and kinds of package are decided apart', () => {
    const node = { ecosystem: 'almalinux', release: '8', package: 'nodejs', packageKind: 'binary' } as const;
    const statements = [
      said('almalinux-osv', 'ALSA-1', {
        ...node,
        module: 'nodejs:18',
        fixedVersion: '1:18.9.1-1.module_el8.7.0',
      }),
      said('almalinux-osv', 'ALSA-2', {
        ...node,
        module: 'nodejs:16',
        fixedVersion: '1:16.1-1.module_el8.7.0',
      }),
      said('almalinux-osv', 'ALSA-3', {
        ...node,
        packageKind: 'source',
        status: 'affected',
        fixState: 'none_yet',
      }),
    ];
    expect(decideAll(statements).map((d) => `${d.module} ${d.packageKind} ${d.fixedVersion}`)).toEqual([
      'nodejs:18 binary 1:18.9.1-1.module_el8.7.0',
      'nodejs:16 binary 1:16.1-1.module_el8.7.0',
      'null source null',
    ]);
  });

  test('nothing said is not an answer', () => {
    expect(uniteStatements([])).toBeNull();
  });

  test('a fixed version that is not a version does not hide one that is', () => {
    const odd = said('debian-osv', 'DSA-1-1', {
      fixedVersion: 'kernel-image-2.4.17-ia64',
      advisory: 'DSA-1-1',
    });
    const good = said('debian-osv', 'DSA-2-1', { fixedVersion: '2.4.17-2', advisory: 'DSA-2-1' });
    expect(uniteStatements([odd, good])?.fixedVersion).toBe('2.4.17-2');
    expect(uniteStatements([odd])?.fixedVersion).toBe('kernel-image-2.4.17-ia64');
  });

  const anyStatement = fc
    .record({
      feed: fc.constantFrom<FeedId>('debian-tracker', 'debian-osv', 'debian-changelog'),
      record: fc.constantFrom('a', 'b', 'c'),
      status: fc.constantFrom<StatementFact['status']>('fixed', 'fixed', 'affected', 'not_affected'),
      version: fc.constantFrom('1', '1-0', '2~', 'not a version'),
      advisory: fc.constantFrom(null, 'DSA-1-1'),
    })
    .map(({ feed, record, status, version, advisory }) =>
      said(feed, record, { status, fixedVersion: status === 'fixed' ? version : null, advisory }),
    );

  test('the order of the sources does not matter, and a fix named by anyone is never lost', () => {
    fc.assert(
      fc.property(
        fc.array(anyStatement, { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.nat()),
        (statements, keys) => {
          const shuffled = statements
            .map((statement) => ({ statement, key: keys.next().value ?? 0 }))
            .sort((a, b) => a.key - b.key)
            .map(({ statement }) => statement);
          const one = uniteStatements(statements);
          const other = uniteStatements(shuffled);
          expect(other?.status).toBe(one?.status);
          expect(other?.fixedVersion).toBe(one?.fixedVersion);
          expect(one?.evidence).toHaveLength(statements.length);
          if (one?.status === 'affected')
            expect(statements.some(({ statement }) => statement.status === 'fixed')).toBe(false);
        },
      ),
    );
  });
});

describe('Microsoft, which revises', () => {
  const of = (feed: FeedId, status: StatementFact['status'], statedAt: string) =>
    said(feed, `${feed} ${statedAt}`, {
      ecosystem: 'windows',
      release: '',
      package: 'Windows Server 2019',
      status,
      statedAt,
      updates: status === 'fixed' ? ['KB5040430'] : [],
    });
  test('"not affected" counts until a later statement says otherwise', () => {
    const cleared = of('microsoft-csaf', 'not_affected', '2026-01-13T08:00:00.000Z');
    const fixed = of('microsoft-cvrf', 'fixed', '2026-02-10T08:00:00.000Z');
    const earlier = of('microsoft-cvrf', 'fixed', '2025-12-09T08:00:00.000Z');
    expect(uniteStatements([cleared, fixed])).toMatchObject({ status: 'fixed', updates: ['KB5040430'] });
    expect(uniteStatements([cleared, earlier])?.status).toBe('not_affected');
    const affected = of('microsoft-cvrf', 'affected', '2026-02-10T08:00:00.000Z');
    expect(uniteStatements([affected, cleared])?.status).toBe('affected');
  });
});
