import type { QueryCompletions } from '@fixpoint/contract/search.ts';
import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { complete, type Completions } from '@fixpoint/core/query/complete.ts';
import { fieldOf, type Scope, type Subject } from '@fixpoint/core/query/fields.ts';
import { printOperand } from '@fixpoint/core/query/print.ts';
import type { ServerContext } from '../app.ts';

/** Completion of queries: what the language offers, with the values that the fleet has. */

const mostItems = 20;
type Item = QueryCompletions['items'][number];

export async function completions(
  context: Pick<ServerContext, 'posture'>,
  request: { readonly subject: Subject; readonly text: string; readonly at?: number | undefined },
): Promise<QueryCompletions> {
  const cursor = Math.min(request.at ?? request.text.length, request.text.length);
  const offered = complete(request.text, cursor, request.subject);
  const { from, to } = offered;
  const begun = request.text.slice(from, cursor);
  const items = offered.items.map(({ text, kind, detail }) => ({ text, kind, detail }));
  if (offered.valueOf === null && offered.keyOf === null) return { from, to, items };
  const there = fromFleet(await context.posture.fresh(), offered, begun);
  // What the fleet has comes before samples; what the field can only be (its choices) is complete as it is.
  const fixed =
    offered.valueOf !== null && isClosed(offered.valueOf.scope, offered.valueOf.field) ? items : [];
  const samples =
    there.length === 0 ? items : items.filter(({ detail }) => !detail.startsWith('for example'));
  const all = fixed.length > 0 ? fixed : [...there, ...samples];
  const distinct = new Map(all.toReversed().map((item) => [item.text, item]));
  return { from, to, items: [...distinct.values()].toReversed().slice(0, mostItems) };
}

function isClosed(scope: Scope, name: string): boolean {
  const field = fieldOf(scope, name);
  return field?.choices !== undefined || field?.type === 'boolean';
}

function fromFleet(fleet: FleetReading, { valueOf, keyOf }: Completions, begun: string): Item[] {
  if (keyOf !== null) {
    const typed = begun.slice(keyOf.prefix.length).toLowerCase();
    return fleet.assets
      .keys(keyOf.field)
      .filter((key) => key.toLowerCase().startsWith(typed))
      .slice(0, mostItems)
      .map((key) => ({ text: `${keyOf.prefix}${key}`, kind: 'field', detail: `${keyOf.field} ${key}` }));
  }
  if (valueOf === null) return [];
  const typed = begun.replace(/^["']/, '').toLowerCase();
  const found = valuesOf(fleet, valueOf.scope, valueOf.field, valueOf.key, typed);
  return found
    .toSorted((a, b) => b.assets - a.assets || compareText(a.value, b.value))
    .slice(0, mostItems)
    .map(({ value, assets, what }) => ({
      text: printOperand({ kind: 'text', value }),
      kind: 'value',
      detail: what ?? (assets === 1 ? 'on 1 asset' : `on ${String(assets)} assets`),
    }));
}

interface Found {
  readonly value: string;
  readonly assets: number;
  readonly what?: string;
}

function valuesOf(
  fleet: FleetReading,
  scope: Scope,
  field: string,
  key: string | null,
  typed: string,
): Found[] {
  const begins = (value: string) => value.toLowerCase().startsWith(typed);
  if (scope === 'asset') {
    if (field === 'tag') {
      return fleet.tags.order.flatMap((value) =>
        begins(value) ? { value, assets: fleet.tag(value)?.holds.size ?? 0 } : [],
      );
    }
    return fleet.assets.values(field, key, 10_000).filter(({ value }) => begins(value));
  }
  if (scope === 'package' || (field === 'package' && scope === 'patch')) {
    const part = softwareParts.find((each) => each === field);
    return part === undefined ? [] : ofSoftware(fleet, part, begins);
  }
  if (scope === 'vulnerability' && (field === 'id' || field === 'alias')) {
    const found: { value: string; index: number; what: string }[] = [];
    for (let index = 0; index < fleet.vulnerabilities; index++) {
      const { id, aliases, title } = fleet.vulnerability(index);
      for (const value of field === 'id' ? [id] : aliases)
        if (begins(value)) found.push({ value, index, what: title ?? id });
    }
    // A short beginning is that of very many; of these the newest, so that not all have to be counted.
    return found
      .toSorted((a, b) => compareText(b.value, a.value))
      .slice(0, 10 * mostItems)
      .map(({ value, index, what }) => ({ value, what, assets: fleet.affectedBy(index).size }));
  }
  if (scope === 'vulnerability' && field === 'package') return ofSoftware(fleet, 'package', begins);
  return [];
}

const softwareParts = ['name', 'source', 'ecosystem', 'arch', 'vendor', 'package'] as const;

function ofSoftware(
  fleet: FleetReading,
  part: (typeof softwareParts)[number],
  begins: (value: string) => boolean,
): Found[] {
  // Assets of one name at several versions are added up: an asset with two versions of it counts twice, for the order only.
  const counts = new Map<string, number>();
  for (const { facts, installed } of fleet.allSoftware()) {
    const value = facts[part];
    if (value !== null && value !== '' && begins(value))
      counts.set(value, (counts.get(value) ?? 0) + installed.size);
  }
  return [...counts].map(([value, assets]) => ({ value, assets, what: 'installed' }));
}
