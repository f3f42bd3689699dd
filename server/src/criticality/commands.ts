import {
  criticalityLimits,
  type CriticalityPreview,
  type CriticalityRule,
  type CriticalityRuleChange,
  type CriticalityRuleRequest,
  type CriticalityRules,
} from '@fixpoint/contract/criticality.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
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
function checkedQuery(fleet: FleetReading, text: string, path: string): Answer<Query> {
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
  const counts = await context.posture.run(countedByRule);
  return { items: rows.map((row) => view(row, counts.get(row.name) ?? 0)) };
}

function* countedByRule(fleet: FleetReading): Sliced<Map<string, number>> {
  const counts = new Map<string, number>();
  let looked = 0;
  for (const asset of fleet.assets.live) {
    if (++looked % 10_000 === 0) yield;
    const { by } = fleet.criticality(asset);
    if (typeof by === 'object') counts.set(by.rule, (counts.get(by.rule) ?? 0) + 1);
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
  const checked = checkedQuery(await context.posture.fresh(), request.query, '/query');
  if (!checked.ok) return checked;
  const now = context.clock.now();
  const made = await transact(context.db, async (trx): Promise<Answer<CriticalityRuleRow>> => {
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
  if (change.query !== undefined) {
    const checked = checkedQuery(await context.posture.fresh(), change.query, '/query');
    if (!checked.ok) return checked;
  }
  const changed = await transact(context.db, async (trx): Promise<Answer<CriticalityRuleRow>> => {
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
  const preview = await context.posture.run((current) => previewed(current, queries, now));
  return answer({ ...preview, as_of: asOf(context.posture) });
}

function* previewed(
  fleet: FleetReading,
  queries: readonly { readonly query: Query; readonly level: Criticality }[],
  now: number,
): Sliced<Omit<CriticalityPreview, 'as_of'>> {
  const { live } = fleet.assets;
  const rules = [];
  for (const { query, level } of queries) {
    const { holds } = ruleQuestion(query, fleet.tags, assetTruths).ask(fleet, now, live);
    rules.push({ level, holds });
    yield;
  }
  const after = levelsOf(fleet.assets, live, rules);
  const changes = new Map<string, CriticalityPreview['changes'][number]>();
  let looked = 0;
  for (const to of criticalities) {
    for (const asset of after[to]) {
      if (++looked % 10_000 === 0) yield;
      const { level: from } = fleet.criticality(asset);
      if (from === to) continue;
      const held = changes.get(`${String(from)} ${String(to)}`) ?? { from, to, assets: 0, first: [] };
      held.assets += 1;
      if (held.first.length < firstListed) held.first.push(fleet.assets.hostname(asset));
      changes.set(`${String(from)} ${String(to)}`, held);
    }
  }
  const all = [...changes.values()].sort((a, b) => b.assets - a.assets || a.to - b.to || a.from - b.from);
  const sum = (which: (one: CriticalityPreview['changes'][number]) => boolean): number =>
    all.reduce((total, one) => total + (which(one) ? one.assets : 0), 0);
  return {
    changes: all,
    raised: sum(({ from, to }) => to > from),
    lowered: sum(({ from, to }) => to < from),
  };
}
