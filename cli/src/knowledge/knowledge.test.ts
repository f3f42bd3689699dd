import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';
import { matchSoftware } from '@fixpoint/core/match/match.ts';
import { buildKnowledge, type SourcedFact } from './build.ts';
import type { Danger } from './format.ts';
import { readKnowledge, type Knowledge } from './read.ts';
import { knowledgeFile } from './write.ts';

const product = { ecosystem: 'debian', release: '12' } as const;

const version = fc
  .tuple(
    fc.constantFrom('', '1:'),
    fc.integer({ min: 0, max: 12 }),
    fc.constantFrom('', '.1', '~rc1', '-1', '-1+deb12u1'),
  )
  .map((parts) => parts.join(''));

const decision: fc.Arbitrary<Decision> = fc
  .record({
    vulnerability: fc.integer({ min: 1000, max: 9999 }).map((n) => `CVE-2024-${String(n)}`),
    ecosystem: fc.constant('debian' as const),
    release: fc.constant('12'),
    package: fc.constantFrom('openssl', 'openssl1', 'zlib', 'libc++'),
    status: fc.constantFrom(
      'fixed' as const,
      'affected' as const,
      'not_affected' as const,
      'undetermined' as const,
    ),
    fixedVersion: fc.oneof(version, fc.constant('not a version')),
    fixState: fc.constantFrom('available' as const, 'none_yet' as const, 'will_not_fix' as const),
    note: fc.option(fc.string({ unit: fc.constantFrom('a', ' ', 'é', '“'), minLength: 1 })),
    advisory: fc.option(fc.constant('DSA-1-1')),
    feed: fc.constantFrom('debian-osv' as const, 'debian-changelog' as const),
    record: fc.constantFrom('r1', 'openssl/1.0'),
    disagreements: fc.array(fc.constantFrom('one says this', 'another “that”'), { maxLength: 2 }),
  })
  .map((d) => ({ ...d, fixedVersion: d.status === 'fixed' ? d.fixedVersion : null }));

function open(decisions: readonly Decision[], dangers: ReadonlyMap<string, Danger> = new Map()): Knowledge {
  const read = readKnowledge(Buffer.from(knowledgeFile(product, decisions, dangers, [])), crc32);
  if (!read.ok) throw new Error(read.message);
  return read.knowledge;
}

const key = (d: Decision): string => JSON.stringify(d, Object.keys(d).sort());

describe('a knowledge file', () => {
  test('gives back every decision as it was written', () => {
    fc.assert(
      fc.property(fc.array(decision, { maxLength: 60 }), (decisions) => {
        const knowledge = open(decisions);
        const back = knowledge.sourcePackages.flatMap((source) =>
          knowledge.of(source).map((ready) => key(ready.decision)),
        );
        expect(back.sort()).toEqual(decisions.map(key).sort());
      }),
    );
  });

  test('leaves out, for an installed version, exactly what cannot concern it', () => {
    fc.assert(
      fc.property(
        fc.array(decision, { maxLength: 60 }),
        fc.oneof(version, fc.constant('none')),
        (decisions, installed) => {
          const knowledge = open(decisions);
          for (const source of knowledge.sourcePackages) {
            const software = { name: source, version: installed, source, source_version: installed };
            const verdicts = (of: ReturnType<Knowledge['of']>): string[] => {
              const found: string[] = [];
              matchSoftware(software, { size: 0, of: () => of }, (kind, one, comparison) => {
                if (kind === 'vulnerable' || kind === 'undetermined')
                  found.push(`${kind} ${String(comparison)} ${key(one)}`);
              });
              return found.sort();
            };
            expect(verdicts(knowledge.concerning(source, installed))).toEqual(verdicts(knowledge.of(source)));
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  const sample: Decision = {
    vulnerability: 'CVE-2024-1',
    ...product,
    package: 'openssl',
    status: 'fixed',
    fixedVersion: '3.0',
    fixState: 'available',
    note: null,
    advisory: null,
    feed: 'debian-osv',
    record: 'CVE-2024-1',
    disagreements: [],
  };
  const bytes = Buffer.from(knowledgeFile(product, [sample], new Map(), []));

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
      kind: 'statement',
      vulnerability,
      ...product,
      package: 'openssl',
      status: 'fixed',
      fixedVersion,
      fixState: 'available',
      note: null,
      advisory: null,
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
      dueOn: null,
      title: null,
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
    const ready = knowledge.of('openssl');
    expect(ready.map(({ decision: d }) => d.vulnerability)).toEqual(['CVE-2024-1']);
    expect(ready.map(({ decision: d }) => knowledge.dangerOf(d).epss)).toEqual([0.5]);
    expect(knowledge.newestFix('openssl')).toBe('3.0');
    expect(knowledge.header.feeds.map(({ id, as_of }) => [id, as_of])).toEqual([
      ['debian-osv', '2025-01-02'],
      ['epss', '2025-02-01'],
    ]);
  });
});
