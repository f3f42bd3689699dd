import { describe, expect, test } from 'vitest';
import { plainStatement, type StatementFact } from '../knowledge/facts.ts';
import type { SourcedStatement } from '../knowledge/union.ts';
import { explain, type ExplainInput, type SoftwareThere } from './explain.ts';

const said = (
  statement: Partial<StatementFact>,
  feed: SourcedStatement['feed'] = 'debian-osv',
): SourcedStatement => ({
  feed,
  record: 'CVE-2023-5363',
  statement: {
    ...plainStatement,
    vulnerability: 'CVE-2023-5363',
    ecosystem: 'debian',
    release: '12',
    package: 'openssl',
    status: 'fixed',
    fixedVersion: '3.0.11-1~deb12u2',
    fixState: 'available',
    ...statement,
  },
});
const libssl = (version: string, more: Partial<SoftwareThere> = {}): SoftwareThere => ({
  name: 'libssl3',
  version,
  arch: 'amd64',
  source: 'openssl',
  source_version: version,
  counts: 'installed',
  reason: null,
  ...more,
});
const input: ExplainInput = {
  vulnerability: 'CVE-2023-5363',
  hostname: 'web-1',
  product: { ecosystem: 'debian', release: '12' },
  productKnown: true,
  vulnerabilityKnown: true,
  statements: [said({})],
  withdrawals: [],
  software: [libssl('3.0.9-1')],
  offered: [],
  held: [],
};
const ask = (more: Partial<ExplainInput>) => explain({ ...input, ...more });

describe('explain', () => {
  test('open: facts, comparison, and the patch that would change it', () => {
    const told = ask({ statements: [said({}), said({ fixedVersion: '3.0.11-1' }, 'debian-changelog')] });
    expect(told.verdict).toBe('open');
    expect(told.sentence).toContain('3.0.9-1');
    expect(told.sentence).toContain('3.0.11-1~deb12u2');
    expect(told.facts).toHaveLength(2);
    expect(told.changes.join(' ')).toContain('debian:12/openssl@3.0.11-1~deb12u2 is installed');
    expect(told.changes.join(' ')).toContain('debian-changelog');
    expect(told.software[0]?.evidence.comparison).toBe('less');
  });
  test('fixed, and what would undo it', () => {
    const told = ask({ software: [libssl('3.0.22-1')] });
    expect(told.verdict).toBe('fixed');
    expect(told.changes.join()).toContain('goes back');
  });
  test('fixed on disk is not fixed while a process runs the old code', () => {
    const stale = libssl('3.0.9-1', {
      counts: 'process',
      reason: 'Process nginx (pid 7) still runs libssl.so.3.',
    });
    const told = ask({ software: [libssl('3.0.22-1'), stale] });
    expect(told.verdict).toBe('restart_pending');
    expect(told.sentence).toContain('nginx');
  });
  test('a kernel that is installed and does not run is no finding; booting it would be', () => {
    const kernel = (version: string, counts: SoftwareThere['counts']): SoftwareThere => ({
      name: `linux-image-${version}-amd64`,
      version,
      arch: 'amd64',
      source: 'linux-signed-amd64',
      source_version: version,
      counts,
      reason: null,
    });
    const statements = [said({ package: 'linux', fixedVersion: '6.1.112-1' })];
    const told = ask({
      statements,
      software: [kernel('6.1.106-3', 'inert'), kernel('6.1.120-1', 'installed')],
    });
    expect(told.verdict).toBe('fixed');
    expect(told.changes.join()).toContain('boots linux-image-6.1.106-3-amd64');
    expect(ask({ statements, software: [kernel('6.1.106-3', 'inert')] }).verdict).toBe('not_affected');
  });
  test('every kind of not knowing is told apart, and none reads as safe', () => {
    expect(ask({ productKnown: false }).verdict).toBe('unknown_system');
    expect(ask({ vulnerabilityKnown: false, statements: [] }).verdict).toBe('unknown_vulnerability');
    expect(ask({ statements: [] }).verdict).toBe('not_listed');
    expect(ask({ software: [] }).verdict).toBe('not_installed');
    const foreign = libssl('99', { origin: 'third_party', vendor: 'Example' });
    expect(ask({ software: [foreign] })).toMatchObject({ verdict: 'undetermined' });
    expect(ask({ statements: [said({ status: 'undetermined', fixedVersion: null })] }).verdict).toBe(
      'undetermined',
    );
  });
  describe('kernels', () => {
    const image = (version: string, counts: SoftwareThere['counts']): SoftwareThere => ({
      ...libssl(version, { counts }),
      name: `linux-image-${version}-amd64`,
      source: 'linux-signed-amd64',
    });
    const statements = [said({ package: 'linux', fixedVersion: '6.1.112-1' })];
    const undetermined = [
      { subject: 'kernel 6.18.44-custom', reason: 'It comes from no package.', what_to_do: 'Boot another.' },
    ];
    test('where what runs comes from no package, an idle one makes nobody safe', () => {
      const told = ask({ statements, software: [image('6.1.106-3', 'inert')], undetermined });
      expect(told.verdict).toBe('undetermined');
      expect(told.sentence).toContain('It comes from no package.');
      expect(ask({ statements, software: [image('6.1.120-1', 'inert')], undetermined }).verdict).toBe(
        'undetermined',
      );
    });
    test('a fixed one that waits for the reboot is said, as the finding says it', () => {
      const software = [image('6.1.106-3', 'installed'), image('6.1.120-1', 'inert')];
      const nextKernel = { name: 'linux-image-6.1.120-1-amd64', version: '6.1.120-1' };
      const told = ask({ statements, software, nextKernel });
      expect(told.verdict).toBe('reboot_pending');
      expect(told.changes).toContain('The host is rebooted.');
      expect(ask({ statements, software }).verdict).toBe('open');
      const old = { name: 'linux-image-6.1.106-3-amd64', version: '6.1.106-3' };
      expect(ask({ statements, software, nextKernel: old }).verdict).toBe('open');
    });
  });
  test('without an inventory nothing is said to be missing', () => {
    expect(ask({ software: [], hasInventory: false })).toMatchObject({ verdict: 'undetermined' });
  });
  test('what is installed and not spoken of is not called missing', () => {
    const told = ask({ statements: [said({ module: 'openssl:3', ecosystem: 'debian' })] });
    expect(told.sentence).not.toContain('is installed or still runs');
    expect(told).toMatchObject({ verdict: 'not_listed' });
    expect(told.sentence).toContain('libssl3 3.0.9-1');
  });
  test('code of a version that nobody knows still runs', () => {
    const stale = [
      { subject: 'libssl3 (earlier version)', reason: 'nginx runs it.', what_to_do: 'Restart.' },
    ];
    const told = ask({ software: [libssl('3.0.22-1')], undetermined: stale });
    expect(told.verdict).toBe('undetermined');
    expect(told.sentence).toContain('nginx runs it.');
  });
  test('withdrawn: with who says so', () => {
    const told = ask({
      withdrawals: [{ feed: 'cve-list', record: 'CVE-2023-5363', withdrawnAt: '2024-05-06T00:00:00Z' }],
    });
    expect(told).toMatchObject({ verdict: 'withdrawn' });
    expect(told.sentence).toContain('2024-05-06');
  });
});
