import { expect, test } from 'vitest';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from '../tag/definition.ts';
import type { AssetFacts } from './facts.ts';
import { Fleet } from './fleet.ts';

const now = Date.parse('2026-03-01T00:00:00Z');

const asset: AssetFacts = {
  id: 1,
  uid: '018f0000-0000-7000-8000-000000000001',
  hostname: 'host-1',
  mode: 'assess',
  os: 'debian',
  osRelease: '12',
  arch: 'amd64',
  agentVersion: '1.0.0',
  enrolledAt: 0,
  retired: false,
  criticalitySet: null,
  attributes: {},
  host: null,
  software: [],
  since: [],
  inert: [],
  nextKernel: null,
  stale: [],
  mitigations: [],
  remediatedBefore: [],
  firstSeen: {},
};

function tag(request: TagDefinitionRequest): TagDefinition {
  const read = parseTagDefinition(request);
  if (!read.ok) throw new Error(read.message);
  return read.definition;
}

test('a tag or rule that cannot be judged is passed over with what asks for it, and said', () => {
  const fleet = new Fleet();
  const read = {
    unreadableTags: [{ kind: 'tag', name: 'odd', message: 'not understood' }] as const,
    tags: [
      tag({ name: 'sound', rule: 'hostname = host-1' }),
      tag({ name: 'a', rule: 'tag = b' }),
      tag({ name: 'b', rule: 'tag = a' }),
      tag({ name: 'beside', rule: 'tag != odd' }),
    ],
    criticalityRules: [
      { name: 'nonsense', query: 'hostname = ', criticality: 5 },
      { name: 'by what is not known', query: 'tag != odd', criticality: 5 },
      { name: 'sound', query: 'tag = sound', criticality: 4 },
    ] as const,
    acceptances: [
      { id: 'x', scope: 'asset.tag != odd', startsAt: 0, expiresAt: now + 1, revokedAt: null },
    ] as const,
  };
  fleet.apply({ assets: [asset], ...read }, { now });
  expect(fleet.tag('sound')?.holds.toArray()).toEqual([1]);
  expect(fleet.criticality(1).level).toBe(4);
  const said = (): string[] => fleet.problems.map(({ kind, name }) => `${kind} ${name}`).toSorted();
  expect(said()).toEqual([
    'acceptance x',
    'criticality by what is not known',
    'criticality nonsense',
    'tag a',
    'tag b',
    'tag beside',
    'tag odd',
  ]);
  // Once it is mended, what asked for it is judged.
  fleet.apply({ tags: [...read.tags, tag({ name: 'odd', assets: [] })] }, { now });
  expect(fleet.criticality(1)).toEqual({ level: 5, by: { rule: 'by what is not known' } });
  expect(said()).toEqual(['criticality nonsense', 'tag a', 'tag b']);
});
