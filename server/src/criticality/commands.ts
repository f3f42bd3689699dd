import {
  criticalityLimits,
  type CriticalityPreview,
  type CriticalityRule,
  type CriticalityRuleChange,
  type CriticalityRuleRequest,
  type CriticalityRules,
} from '@fixpoint/contract/criticality.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { assetSet, intersection, removeAll } from '@fixpoint/core/posture/asset-set.ts';
import { criticalities, levelsOf } from '@fixpoint/core/posture/criticality-levels.ts';
import { ruleQuestion } from '@fixpoint/core/posture/evaluate-tag.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { readCriticalityQuery } from '@fixpoint/core/posture/scope-refusals.ts';
import { assetTruths } from '@fixpoint/core/posture/select/asset-truths.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import { explain } from '@fixpoint/core/query/explain.ts';
import { parse } from '@fixpoint/core/query/parse.ts';
import type { Query } from '@fixpoint/core/query/query.ts';
import type { Criticality } from '@fixpoint/core/risk/asset-risk.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { asOf } from '../search/posture-state.ts';
import { storedGraph } from '../tag/definitions.ts';
import { transact } from '../transact.ts';
import {
  deleteRule,
  insertRule,
  listRules,
  lockRules,
  orderRules,
  updateRule,
  type CriticalityRuleRow,
} from './store.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'posture'>;

const firstListed = 10;

const unknownRule = (id: string): Refusal =>
  refuse(
    404,
    'criticality_rule_unknown',
    `there is no criticality rule ${id}`,
    'list them: fixpoint criticality list',
  );
const nameTaken = (name: string): Refusal =>
  refuse(409, 'criticality_rule_exists', `there is a criticality rule ${name} already`, 'take another name');

/** The query of a rule, or the refusal with its place. */
function checkedQuery(fleet: Pick<FleetReading, 'tags'>, text: string, path: string): Answer<Query> {
  const read = readCriticalityQuery(text, fleet.tags);
  if (read.ok) return answer(read.query);
  const { code, message, at, length } = read;
  return {
    ok: false,
    status: 400,
    code,
    message,
    whatToDo: read.what_to_do,
    problems: [
      {
        path,
        message,
        at,
        length,
        suggestions: [...read.suggestions],
        ...('expected' in read ? { expected: [...read.expected] } : {}),
      },
    ],
  };
}

const toLevel = (value: number): Criticality => {
  const level = criticalities.find((each) => each === value);
  if (level === undefined) throw new Error(`${String(value)} is no criticality`);
  return level;
};

/** All rules in their order, with how many assets have their criticality from each. */
export async function criticalityRules(context: Rooms): Promise<CriticalityRules> {
  const rows = await listRules(context.db);
  if (rows.length === 0) return { items: [] };
  const now = context.clock.now().getTime();
  const counts = await context.posture.run((fleet) => countedByRule(fleet, rows, now));
  return { items: rows.map((row) => view(row, counts.get(row.name) ?? 0)) };
}

/** By rule, the assets that no rule before it holds for and whose criticality no person has set. */
function* countedByRule(
  fleet: FleetReading,
  rows: readonly CriticalityRuleRow[],
  now: number,
): Sliced<Map<string, number>> {
  const counts = new Map<string, number>();
  const rest = fleet.assets.live.clone();
  removeAll(rest, assetSet([...rest].filter((asset) => fleet.assets.criticalitySet(asset) !== null)));
  for (const { name, query } of rows) {
    yield;
    const read = parse(query, 'asset');
    if (!read.ok) continue;
    const { holds } = ruleQuestion(read.query, fleet.tags, assetTruths).ask(fleet, now, rest);
    counts.set(name, holds.size);
    removeAll(rest, holds);
  }
  return counts;
}

function view(row: CriticalityRuleRow, assets: number): CriticalityRule {
  const read = parse(row.query, 'asset');
  return {
    id: row.id,
    name: row.name,
    query: row.query,
    words: read.ok ? explain(read.query) : row.query,
    criticality: row.criticality,
    assets,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

async function viewed(context: Rooms, id: string): Promise<Answer<CriticalityRule>> {
  const found = (await criticalityRules(context)).items.find((each) => each.id === id);
  return found === undefined ? unknownRule(id) : answer(found);
}

const audited = ({
  name,
  query,
  criticality,
}: Pick<CriticalityRuleRow, 'name' | 'query' | 'criticality'>) => ({
  name,
  query,
  criticality,
});

export async function createCriticalityRule(
  context: Rooms,
  actor: Actor,
  request: CriticalityRuleRequest,
): Promise<Answer<CriticalityRule>> {
  const now = context.clock.now();
  const made = await transact(context.db, async (trx): Promise<Answer<CriticalityRuleRow>> => {
    const checked = checkedQuery({ tags: await storedGraph(trx) }, request.query, '/query');
    if (!checked.ok) return checked;
    const rows = await lockRules(trx);
    if (rows.some(({ name }) => name === request.name)) return nameTaken(request.name);
    if (rows.length >= criticalityLimits.rules)
      return refuse(
        409,
        'criticality_rules_too_many',
        `there are ${String(rows.length)} criticality rules, and more are not kept`,
        'join some of them: or stands between conditions',
      );
    const row = await insertRule(trx, {
      id: context.random.uuid(),
      ...audited(request),
      position: (rows.at(-1)?.position ?? 0) + 1,
      created_by: actor.name,
      created_at: now,
      updated_at: now,
    });
    await appendAudit(trx, context, {
      actor,
      event: 'criticality_rule.created',
      subjectKind: 'criticality_rule',
      subject: row.id,
      after: audited(row),
    });
    return answer(row);
  });
  return made.ok ? await viewed(context, made.value.id) : made;
}

export async function changeCriticalityRule(
  context: Rooms,
  actor: Actor,
  id: string,
  change: CriticalityRuleChange,
): Promise<Answer<CriticalityRule>> {
  const changed = await transact(context.db, async (trx): Promise<Answer<CriticalityRuleRow>> => {
    if (change.query !== undefined) {
      const checked = checkedQuery({ tags: await storedGraph(trx) }, change.query, '/query');
      if (!checked.ok) return checked;
    }
    const rows = await lockRules(trx);
    const before = rows.find((row) => row.id === id);
    if (before === undefined) return unknownRule(id);
    if (rows.some((row) => row.name === change.name && row.id !== id)) return nameTaken(change.name ?? '');
    const after = {
      name: change.name ?? before.name,
      query: change.query ?? before.query,
      criticality: change.criticality ?? before.criticality,
    };
    const row = await updateRule(trx, id, { ...after, updated_at: context.clock.now() });
    await appendAudit(trx, context, {
      actor,
      event: 'criticality_rule.changed',
      subjectKind: 'criticality_rule',
      subject: id,
      before: audited(before),
      after: audited(row),
    });
    return answer(row);
  });
  return changed.ok ? await viewed(context, id) : changed;
}

export async function removeCriticalityRule(
  context: Rooms,
  actor: Actor,
  id: string,
): Promise<Answer<CriticalityRule>> {
  return await transact(context.db, async (trx): Promise<Answer<CriticalityRule>> => {
    const row = (await lockRules(trx)).find((each) => each.id === id);
    if (row === undefined) return unknownRule(id);
    await deleteRule(trx, id);
    await appendAudit(trx, context, {
      actor,
      event: 'criticality_rule.deleted',
      subjectKind: 'criticality_rule',
      subject: id,
      before: audited(row),
    });
    return answer(view(row, 0));
  });
}

export async function orderCriticalityRules(
  context: Rooms,
  actor: Actor,
  order: readonly string[],
): Promise<Answer<CriticalityRules>> {
  const ordered = await transact(context.db, async (trx): Promise<Answer<null>> => {
    const rows = await lockRules(trx);
    const named = new Set(order.map((id) => id.toLowerCase()));
    if (order.length !== rows.length || named.size !== order.length || !rows.every(({ id }) => named.has(id)))
      return refuse(
        409,
        'criticality_order_incomplete',
        'the order must name every rule that there is once, and the rules are others than these',
        'read the rules again, and name all of them',
      );
    await orderRules(trx, [...named]);
    const names = new Map(rows.map((row) => [row.id, row.name]));
    await appendAudit(trx, context, {
      actor,
      event: 'criticality_rule.reordered',
      subjectKind: 'criticality_rule',
      subject: 'all',
      before: { order: rows.map(({ name }) => name) },
      after: { order: [...named].map((id) => names.get(id)) },
    });
    return answer(null);
  });
  return ordered.ok ? answer(await criticalityRules(context)) : ordered;
}

/** Whose criticality would be another with these rules in this order. */
export async function previewCriticality(
  context: Rooms,
  rules: readonly CriticalityRuleRequest[],
): Promise<Answer<CriticalityPreview>> {
  const fleet = await context.posture.fresh();
  const queries: { query: Query; level: Criticality }[] = [];
  for (const [index, rule] of rules.entries()) {
    const checked = checkedQuery(fleet, rule.query, `/rules/${String(index)}/query`);
    if (!checked.ok) return checked;
    queries.push({ query: checked.value, level: toLevel(rule.criticality) });
  }
  const now = context.clock.now().getTime();
  const current = (await listRules(context.db)).flatMap(({ query, criticality }) => {
    const read = parse(query, 'asset');
    return read.ok ? [{ query: read.query, level: toLevel(criticality) }] : [];
  });
  const preview = await context.posture.run((seen) => previewed(seen, current, queries, now));
  return answer({ ...preview, as_of: asOf(context.posture) });
}

interface LevelQuery {
  readonly query: Query;
  readonly level: Criticality;
}

function* levelsBy(
  fleet: FleetReading,
  queries: readonly LevelQuery[],
  now: number,
): Sliced<ReturnType<typeof levelsOf>> {
  const { live } = fleet.assets;
  const rules = [];
  for (const { query, level } of queries) {
    const { holds } = ruleQuestion(query, fleet.tags, assetTruths).ask(fleet, now, live);
    rules.push({ level, holds });
    yield;
  }
  return levelsOf(fleet.assets, live, rules);
}

function* previewed(
  fleet: FleetReading,
  current: readonly LevelQuery[],
  wanted: readonly LevelQuery[],
  now: number,
): Sliced<Omit<CriticalityPreview, 'as_of'>> {
  const before = yield* levelsBy(fleet, current, now);
  const after = yield* levelsBy(fleet, wanted, now);
  const changes: CriticalityPreview['changes'] = [];
  for (const from of criticalities) {
    for (const to of criticalities) {
      if (from === to) continue;
      const moved = intersection(before[from], after[to]);
      if (moved.isEmpty) continue;
      const first = Array.from(
        { length: Math.min(firstListed, moved.size) },
        (_, index) => moved.at(index) ?? 0,
      );
      changes.push({
        from,
        to,
        assets: moved.size,
        first: first.map((asset) => fleet.assets.hostname(asset)),
      });
    }
  }
  changes.sort((a, b) => b.assets - a.assets || a.to - b.to || a.from - b.from);
  const sum = (which: (one: CriticalityPreview['changes'][number]) => boolean): number =>
    changes.reduce((total, one) => total + (which(one) ? one.assets : 0), 0);
  return {
    changes,
    raised: sum(({ from, to }) => to > from),
    lowered: sum(({ from, to }) => to < from),
  };
}
