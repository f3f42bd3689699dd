import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from '../tag/definition.ts';
import { tagGraph } from '../tag/dependencies.ts';
import { previewChange, type TagChange } from '../tag/preview.ts';
import type { ReadonlyAssetSet } from './asset-set.ts';
import type { CriticalityRule } from './facts.ts';
import { NaiveFleet, naiveTruths } from './test-naive-fleet.ts';
import { atOnce } from './select/selection.ts';
import { previewTag } from './tag-preview.ts';

const start = Date.UTC(2026, 10, 22, 12);

function tag(request: TagDefinitionRequest): TagDefinition {
  const read = parseTagDefinition(request);
  if (!read.ok) throw new Error(read.message);
  return read.definition;
}

const definitions: readonly TagDefinitionRequest[] = [
  { name: 'web', rule: 'hostname = web-*' },
  { name: 'web', parent: 'all', rule: 'attribute.role = web' },
  { name: 'web', assets: ['1', '2'] },
  { name: 'lan', ranges: ['10.0.0.0/8'] },
  { name: 'lan', parent: 'web', ranges: ['10.0.0.1'] },
  { name: 'all', assets: ['4'] },
  { name: 'not-web', rule: 'tag != web' },
  { name: 'wild', rule: 'tag = w*b or tag = new*' },
  { name: 'newly', rule: 'hostname = db-1' },
];
const rules: readonly CriticalityRule[] = [
  { name: 'web', query: 'tag = we* or tag = lan', criticality: 5 },
  { name: 'not', query: 'hostname = db*', criticality: 1 },
];
const texts = (set: ReadonlyAssetSet): string[] => [...set].map(String).toSorted();

function fleetOf(tags: readonly TagDefinition[], seed: readonly number[]): NaiveFleet {
  const fleet = new NaiveFleet(start);
  for (const [index, value] of seed.entries())
    fleet.table.set(index + 1, {
      retired: value % 11 === 10,
      criticalitySet: value % 7 === 6 ? 2 : null,
      plain: {
        hostname: ['web-1', 'db-1', 'x'][value % 3] ?? null,
        ...(value % 5 === 4 ? {} : { attribute: value % 2 === 0 ? { role: 'web' } : {} }),
        address: value % 4 === 3 ? null : [value % 4 === 0 ? '10.0.0.1' : '10.9.9.9'],
      },
      danger: 1,
    });
  fleet.rules.setTags(tags);
  fleet.rules.setCriticality(rules);
  fleet.rules.refreshAges(fleet.reading, start);
  return fleet;
}

const many = fc.array(fc.nat(8), { maxLength: 8 });
const one = fc.nat(8);

test('is what going through records says, and what saving it comes to', () => {
  let previewed = 0;
  fc.assert(
    fc.property(
      many,
      one,
      fc.boolean(),
      fc.array(fc.nat(1000), { minLength: 5, maxLength: 9 }),
      (all, which, isDeleted, seed) => {
        const byName = new Map<string, TagDefinition>();
        for (const each of all) {
          const request = definitions[each];
          if (request === undefined) continue;
          const next = new Map(byName).set(request.name, tag(request));
          if (tagGraph(next.values()).ok) byName.set(request.name, tag(request));
        }
        const tags = [...byName.values()];
        const request = definitions[which];
        if (request === undefined) return;
        const change: TagChange = isDeleted
          ? { kind: 'delete', name: request.name }
          : { kind: 'save', definition: tag(request) };
        if (isDeleted && !byName.has(request.name)) return;
        const fleet = fleetOf(tags, seed);
        const live = [...fleet.live];
        const preview = atOnce(previewTag(fleet.reading, change, rules, start, naiveTruths));
        const records = previewChange(
          tags,
          change,
          live.map((id) => {
            const { address } = fleet.asset(id).plain;
            const addresses = Array.isArray(address) ? address.map(String) : null;
            return { id: String(id), record: fleet.record(id, false), addresses };
          }),
          start,
        );
        expect(preview.ok).toBe(records.ok);
        if (!preview.ok || !records.ok) return;
        previewed += 1;
        const found = [...preview.tags]
          .map(([name, { enter, leave, become_unknown }]) => ({
            name,
            enter: texts(enter),
            leave: texts(leave),
            become_unknown: texts(become_unknown),
          }))
          .filter((each) => each.enter.length + each.leave.length + each.become_unknown.length > 0)
          .toSorted((a, b) => (a.name < b.name ? -1 : 1));
        expect(found).toEqual(
          [...records.differences]
            .map(([name, difference]) => ({ name, ...difference }))
            .filter((each) => each.enter.length + each.leave.length + each.become_unknown.length > 0),
        );
        const level = (id: number) => fleet.rules.criticality(fleet.reading, id).level;
        const before = new Map(live.map((id) => [id, level(id)]));
        if (change.kind === 'save') byName.set(change.definition.name, change.definition);
        else byName.delete(change.name);
        fleet.rules.setTags([...byName.values()]);
        fleet.rules.refreshAges(fleet.reading, start);
        for (const [name, { members, unknown }] of preview.tags) {
          const truths = fleet.rules.tag(name);
          expect(texts(members)).toEqual(truths === null ? [] : texts(truths.holds));
          if (truths !== null) expect(live.length).toBe(members.size + unknown.size + truths.fails.size);
        }
        expect([...preview.criticality.raised]).toEqual(
          live.filter((id) => level(id) > (before.get(id) ?? 0)),
        );
        expect([...preview.criticality.lowered]).toEqual(
          live.filter((id) => level(id) < (before.get(id) ?? 0)),
        );
      },
    ),
    { numRuns: 150 },
  );
  expect(previewed).toBeGreaterThan(50);
});

test('tags that ask for criticality see what it would be', () => {
  const fleet = fleetOf([tag({ name: 'vital', rule: 'criticality = 5' })], [2, 5]);
  const change: TagChange = { kind: 'save', definition: tag({ name: 'web', assets: ['1'] }) };
  const preview = atOnce(previewTag(fleet.reading, change, rules, start, naiveTruths));
  if (!preview.ok) throw new Error(preview.message);
  expect([...preview.criticality.raised]).toEqual([1]);
  expect([...(preview.tags.get('vital')?.enter ?? [])]).toEqual([1]);
});
