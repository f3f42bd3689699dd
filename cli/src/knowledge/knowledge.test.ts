import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BranchFix, Decision } from '@fixpoint/core/knowledge/decision.ts';
import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import { plainStatement } from '@fixpoint/core/knowledge/facts.ts';
import { matchSoftware, type DecisionIndex, type MatchSoftware } from '@fixpoint/core/match/match.ts';
import { buildKnowledge, type SourcedFact } from './build.ts';
import { unknownDanger } from './format.ts';
import { readKnowledge, type Knowledge } from './read.ts';
import { knowledgeFile } from './write.ts';

const product = { ecosystem: 'debian', release: '12' } as const;

const epoch = fc.constantFrom('', '1:');
const number = fc.integer({ min: 0, max: 12 }).map(String);
/** Versions as each order writes them, close enough together for all three answers. */
const versions: Readonly<Record<string, fc.Arbitrary<string>>> = {
  debian: fc
    .tuple(epoch, number, fc.constantFrom('', '.1', '~rc1', '-1', '-1+deb12u1'))
    .map((parts) => parts.join('')),
  redhat: fc
    .tuple(epoch, number, fc.constantFrom('-1.el9', '-1.el9_2.1', '-2.el9_2', '-1.el9sat', '^git1-1.el9'))
    .map((parts) => parts.join('')),
  alpine: fc.tuple(number, fc.constantFrom('', '.1', '_rc1', '-r1', '-r2')).map((parts) => parts.join('')),
  windows: fc.tuple(fc.constantFrom('10.0.17763.', '10.0.20348.'), number).map((parts) => parts.join('')),
};
const productsOf: readonly { readonly ecosystem: Ecosystem; readonly release: string }[] = [
  { ecosystem: 'debian', release: '12' },
  { ecosystem: 'redhat', release: '9' },
  { ecosystem: 'alpine', release: '3.18' },
  { ecosystem: 'windows', release: '' },
];
const versionIn = (ecosystem: Ecosystem): fc.Arbitrary<string> => versions[ecosystem] ?? fc.constant('1');

function decisionOf(of: { readonly ecosystem: Ecosystem; readonly release: string }): fc.Arbitrary<Decision> {
  const version = versionIn(of.ecosystem);
  const branch: fc.Arbitrary<BranchFix> = fc.record({
    channel: fc.constantFrom('eus:9.2', 'product:satellite:6.16', 'fips'),
    fixedVersion: version,
    advisory: fc.option(fc.constant('RHSA-2024:1')),
    feed: fc.constant('redhat-csaf' as const),
    record: fc.constant('r2'),
  });
  return fc
    .record({
      vulnerability: fc.integer({ min: 1000, max: 9999 }).map((n) => `CVE-2024-${String(n)}`),
      ecosystem: fc.constant(of.ecosystem),
      release: fc.constant(of.release),
      package: fc.constantFrom('openssl', 'openssl1', 'zlib', 'libc++'),
      packageKind: fc.constantFrom('source' as const, 'binary' as const),
      module: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.constantFrom('?', 'nodejs:18')),
      status: fc.constantFrom(
        'fixed' as const,
        'affected' as const,
        'not_affected' as const,
        'undetermined' as const,
        'branch_only' as const,
      ),
      introducedVersion: fc.option(version, { freq: 3 }),
      fixedVersion: fc.oneof({ weight: 9, arbitrary: version }, fc.constant('not a version')),
      updates: fc.array(fc.constantFrom('KB1', 'KB2'), { maxLength: 2 }),
      channel: fc.option(fc.constant('pro'), { freq: 4 }),
      branchFixes: fc.array(branch, { maxLength: 2 }),
      fixState: fc.constantFrom('available' as const, 'none_yet' as const, 'will_not_fix' as const),
      note: fc.option(fc.string({ unit: fc.constantFrom('a', ' ', 'é', '“'), minLength: 1 })),
      advisory: fc.option(fc.constant('DSA-1-1')),
      feed: fc.constantFrom('debian-osv' as const, 'debian-changelog' as const),
      record: fc.constantFrom('r1', 'openssl/1.0'),
      disagreements: fc.array(fc.constantFrom('one says this', 'another “that”'), { maxLength: 2 }),
    })
    .map((d) => ({ ...d, fixedVersion: d.status === 'fixed' ? d.fixedVersion : null }));
}

function open(of: { ecosystem: Ecosystem; release: string }, decisions: readonly Decision[]): Knowledge {
  const bytes = knowledgeFile(of, decisions, () => unknownDanger, []);
  const read = readKnowledge(Buffer.from(bytes), crc32);
  if (!read.ok) throw new Error(read.message);
  return read.knowledge;
}

const key = (d: Decision): string => JSON.stringify(d, Object.keys(d).sort());

describe.each(productsOf)('a knowledge file of $ecosystem', (of) => {
  test('gives back every decision as it was written', () => {
    fc.assert(
      fc.property(fc.array(decisionOf(of), { maxLength: 60 }), (decisions) => {
        const knowledge = open(of, decisions);
        const back = knowledge.names
          .flatMap(({ kind, name }) =>
            kind === 'source' ? knowledge.ofSource(name) : knowledge.ofBinary(name),
          )
          .map((ready) => key(ready.decision));
        expect(back.sort()).toEqual(decisions.map(key).sort());
      }),
    );
  });

  test('leaves out, for an installed version, exactly what cannot concern it', () => {
    const software = fc.record({
      name: fc.constantFrom('openssl', 'libssl3'),
      version: fc.oneof({ weight: 9, arbitrary: versionIn(of.ecosystem) }, fc.constant('none')),
      source: fc.constantFrom('openssl', 'zlib', 'libc++'),
      source_version: versionIn(of.ecosystem),
      module: fc.option(fc.constantFrom('nodejs:18', 'nodejs:20'), { nil: undefined }),
      origin: fc.option(fc.constantFrom('third_party' as const, 'unknown' as const), {
        nil: undefined,
        freq: 5,
      }),
    });
    const verdicts = (index: DecisionIndex, one: MatchSoftware): string[] => {
      const found: string[] = [];
      matchSoftware(one, index, (kind, decided, comparison, rule, branch) => {
        if (kind === 'vulnerable' || kind === 'undetermined')
          found.push(`${kind} ${rule} ${String(comparison)} ${String(branch?.channel)} ${key(decided)}`);
      });
      return found.sort();
    };
    fc.assert(
      fc.property(
        fc.array(decisionOf(of), { maxLength: 60 }),
        software,
        (decisions, { module, origin, ...bare }) => {
          const one = {
            ...bare,
            ...(module === undefined ? {} : { module }),
            ...(origin === undefined ? {} : { origin }),
          };
          const knowledge = open(of, decisions);
          expect(verdicts(knowledge.concerning(one), one)).toEqual(verdicts(knowledge, one));
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('a knowledge file', () => {
  const sample: Decision = {
    vulnerability: 'CVE-2024-1',
    ...product,
    package: 'openssl',
    packageKind: 'source',
    module: null,
    status: 'fixed',
    introducedVersion: null,
    fixedVersion: '3.0',
    updates: [],
    channel: null,
    branchFixes: [],
    fixState: 'available',
    note: null,
    advisory: null,
    feed: 'debian-osv',
    record: 'CVE-2024-1',
    disagreements: [],
  };
  const bytes = Buffer.from(knowledgeFile(product, [sample], () => unknownDanger, []));

  test.each([
    ['empty', Buffer.alloc(0), 'knowledge_format'],
    ['something else', Buffer.from('{"format":2}\n'), 'knowledge_format'],
    [
      'of another format',
      Buffer.from(bytes.toString('latin1').replace(/knowledge \d/u, 'knowledge 9'), 'latin1'),
      'knowledge_format',
    ],
    ['cut short', bytes.subarray(0, -5), 'knowledge_damaged'],
    ['longer than it says', Buffer.concat([bytes, Buffer.from('x')]), 'knowledge_damaged'],
    ['altered', Buffer.from(bytes.toString('latin1').replace('3.0', '3.1'), 'latin1'), 'knowledge_damaged'],
  ])('that is %s is refused', (_, wrong, code) => {
    expect(readKnowledge(wrong, crc32)).toMatchObject({ ok: false, code });
  });
});

describe('building from facts', () => {
  const statement = (vulnerability: string, fixedVersion: string): SourcedFact => ({
    feed: 'debian-osv',
    record: vulnerability,
    fact: {
      ...plainStatement,
      vulnerability,
      ...product,
      package: 'openssl',
      status: 'fixed',
      fixedVersion,
      fixState: 'available',
      statedAt: '2025-01-02T00:00:00Z',
    },
  });
  const threat = (probability: number, assertedOn: string): SourcedFact => ({
    feed: 'epss',
    record: 'CVE-2024-1',
    fact: {
      kind: 'threat',
      vulnerability: 'CVE-2024-1',
      threat: 'exploit_probability',
      probability,
      percentile: null,
      ransomware: null,
      assertedOn,
      ssvc: null,
      dueOn: null,
      title: null,
      reference: null,
    },
  });

  test('the newest EPSS, the age of each feed, and no withdrawn vulnerability', async () => {
    const files = await buildKnowledge([
      statement('CVE-2024-1', '3.0'),
      statement('CVE-2024-2', '3.1'),
      threat(0.5, '2025-02-01'),
      threat(0.1, '2024-02-01'),
      {
        feed: 'debian-osv',
        record: 'CVE-2024-2',
        fact: {
          kind: 'vulnerability',
          id: 'CVE-2024-2',
          aliases: [],
          title: null,
          description: null,
          publishedAt: null,
          withdrawnAt: '2025-01-01T00:00:00Z',
        },
      },
    ]);
    expect([...files.keys()]).toEqual(['debian-12']);
    const read = readKnowledge(Buffer.from(files.get('debian-12') ?? []), crc32);
    if (!read.ok) throw new Error(read.message);
    const { knowledge } = read;
    const ready = knowledge.ofSource('openssl');
    expect(ready.map(({ decision: d }) => d.vulnerability)).toEqual(['CVE-2024-1']);
    expect(ready.map(({ decision: d }) => knowledge.dangerOf(d).epss)).toEqual([0.5]);
    expect(knowledge.header.feeds.map(({ id, as_of }) => [id, as_of])).toEqual([
      ['debian-osv', '2025-01-02'],
      ['epss', '2025-02-01'],
    ]);
  });

  test('only the ecosystem’s own feeds, no release of which only single fixes are known, and CVEs for their aliases', async () => {
    const of = (
      feed: SourcedFact['feed'],
      vulnerability: string,
      ecosystem: Ecosystem,
      release: string,
    ): SourcedFact => ({
      feed,
      record: vulnerability,
      fact: {
        ...plainStatement,
        vulnerability,
        ecosystem,
        release,
        package: 'openssl',
        status: 'fixed',
        fixedVersion: '3.0',
        fixState: 'available',
      },
    });
    const files = await buildKnowledge([
      of('debian-changelog', 'CVE-2024-1', 'debian', '11'),
      of('debian-osv', 'TEMP-1', 'debian', '12'),
      of('alpine-secdb', 'CVE-2024-3', 'debian', '12'),
      of('wolfi-secdb', 'CVE-2024-4', 'wolfi', ''),
      {
        feed: 'nvd',
        record: 'CVE-2024-9',
        fact: {
          kind: 'vulnerability',
          id: 'CVE-2024-9',
          aliases: ['TEMP-1'],
          title: null,
          description: null,
          publishedAt: null,
          withdrawnAt: null,
        },
      },
    ]);
    expect([...files.keys()]).toEqual(['debian-12', 'wolfi']);
    const read = readKnowledge(Buffer.from(files.get('debian-12') ?? []), crc32);
    if (!read.ok) throw new Error(read.message);
    expect(read.knowledge.ofSource('openssl').map((ready) => ready.decision.vulnerability)).toEqual([
      'CVE-2024-9',
    ]);
  });
});
