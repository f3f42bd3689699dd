import { createHash } from 'node:crypto';
import type { SlaRule as WireRule, SlaRules, SlaRulesRequest, SlaStatus } from '@fixpoint/contract/sla.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { checkSlaRules, type SlaRule } from '@fixpoint/core/finding/sla.ts';
import { slaRuleRefusal } from '@fixpoint/core/posture/scope-refusals.ts';
import { selectFindings } from '@fixpoint/core/posture/select/select.ts';
import {
  noCounts,
  slaTotals,
  soonDays,
  type SlaCounts,
  type SlaTotals,
} from '@fixpoint/core/posture/sla-totals.ts';
import type { TagGraph } from '@fixpoint/core/tag/dependencies.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { asOf } from '../search/posture-state.ts';
import { readQuery } from '../search/query.ts';
import { storedGraph } from '../tag/definitions.ts';
import { transact } from '../transact.ts';
import { listSlaRules, lockSlaRules, replaceSlaRules, type SlaRuleRow } from './store.ts';

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'posture'>;

/** Shown where there are no rules yet. Nothing is due until somebody saves rules. */
export const suggestedRules: readonly WireRule[] = [
  { name: 'gravest', when: { score_at_least: 80 }, days: 7, kev_due_date: 'if_earlier' },
  {
    name: 'grave on critical assets',
    when: { score_at_least: 50, criticality_at_least: 4 },
    days: 14,
    kev_due_date: 'if_earlier',
  },
  { name: 'grave', when: { score_at_least: 50 }, days: 30, kev_due_date: 'if_earlier' },
  { name: 'all others', when: {}, days: 90, kev_due_date: 'if_earlier' },
];

function ruleOf({ name, when, days, kev_due_date, reopened }: WireRule): SlaRule {
  const { criticality_at_least, exploited, score_at_least, score_below, any_tag } = when;
  return {
    name,
    when: {
      ...(criticality_at_least === undefined ? {} : { criticalityAtLeast: criticality_at_least }),
      ...(exploited === undefined ? {} : { exploited }),
      ...(score_at_least === undefined ? {} : { scoreAtLeast: score_at_least }),
      ...(score_below === undefined ? {} : { scoreBelow: score_below }),
      ...(any_tag === undefined ? {} : { anyTag: any_tag }),
    },
    days,
    ...(kev_due_date === undefined ? {} : { kevDueDate: kev_due_date }),
    ...(reopened === undefined ? {} : { reopened }),
  };
}

function wireOf({ name, definition: { when, days, kevDueDate, reopened } }: SlaRuleRow): WireRule {
  const { criticalityAtLeast, exploited, scoreAtLeast, scoreBelow, anyTag } = when;
  return {
    name,
    when: {
      ...(criticalityAtLeast === undefined ? {} : { criticality_at_least: criticalityAtLeast }),
      ...(exploited === undefined ? {} : { exploited }),
      ...(scoreAtLeast === undefined ? {} : { score_at_least: scoreAtLeast }),
      ...(scoreBelow === undefined ? {} : { score_below: scoreBelow }),
      ...(anyTag === undefined ? {} : { any_tag: [...anyTag] }),
    },
    days,
    ...(kevDueDate === undefined ? {} : { kev_due_date: kevDueDate }),
    ...(reopened === undefined ? {} : { reopened }),
  };
}

/** The same for the same list, and another for every other. */
function versionOf(rows: readonly SlaRuleRow[]): string {
  const text = JSON.stringify(rows.map(wireOf));
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function view(rows: readonly SlaRuleRow[]): SlaRules {
  return {
    version: versionOf(rows),
    rules: rows.map(wireOf),
    suggestion: rows.length === 0 ? [...suggestedRules] : null,
  };
}

export async function slaRules(context: Pick<Rooms, 'db'>): Promise<SlaRules> {
  return view(await listSlaRules(context.db));
}

/** Saves the whole list, when it is still the one that the caller has read. */
export async function saveSlaRules(
  context: Rooms,
  actor: Actor,
  request: SlaRulesRequest,
): Promise<Answer<SlaRules>> {
  const checked = checkRules(request.rules);
  if (!checked.ok) return checked;
  const now = context.clock.now();
  return await transact(context.db, async (trx): Promise<Answer<SlaRules>> => {
    const named = checkedTags(request.rules, await storedGraph(trx));
    if (!named.ok) return named;
    const before = await lockSlaRules(trx);
    if (versionOf(before) !== request.version)
      return refuse(
        409,
        'sla_rules_changed',
        'somebody has saved other rules since these were read',
        'read them again, and make the change on them',
      );
    const known = new Map(before.map((row) => [row.name, row]));
    await replaceSlaRules(
      trx,
      checked.value.map(({ name, ...definition }, index) => ({
        id: known.get(name)?.id ?? context.random.uuid(),
        name,
        position: index + 1,
        definition: JSON.stringify(definition),
        created_by: known.get(name)?.created_by ?? actor.name,
        created_at: known.get(name)?.created_at ?? now,
        updated_at: now,
      })),
    );
    const after = await listSlaRules(trx);
    if (versionOf(after) !== request.version) {
      await appendAudit(trx, context, {
        actor,
        event: 'sla_rules.changed',
        subjectKind: 'sla_rules',
        subject: 'all',
        before: before.map(wireOf),
        after: after.map(wireOf),
      });
    }
    return answer(view(after));
  });
}

/** The rules may name their tags. */
function checkedTags(rules: SlaRulesRequest['rules'], tags: TagGraph): Answer<null> {
  for (const [index, { when }] of rules.entries()) {
    const refusal = slaRuleRefusal(when.any_tag ?? [], tags);
    if (refusal === null) continue;
    const { code, message, what_to_do, suggestions, at } = refusal;
    const path = `/rules/${String(index)}/when/any_tag/${String(at)}`;
    return {
      ...refuse(400, code, message, what_to_do),
      problems: [{ path, message, suggestions: [...suggestions] }],
    };
  }
  return answer(null);
}

function checkRules(rules: readonly WireRule[]): Answer<SlaRule[]> {
  const names = new Set<string>();
  for (const [index, { name }] of rules.entries()) {
    if (names.has(name))
      return {
        ...refuse(400, 'sla_rule_invalid', `two rules are called ${name}`, 'give each a name of its own'),
        problems: [{ path: `/rules/${String(index)}/name`, message: 'is the name of another rule' }],
      };
    names.add(name);
  }
  const read = rules.map(ruleOf);
  for (const [index, rule] of read.entries()) {
    const refusal = checkSlaRules([rule]);
    if (refusal === null) continue;
    return {
      ...refuse(400, refusal.code, refusal.message, refusal.what_to_do),
      problems: [{ path: `/rules/${String(index)}`, message: refusal.message }],
    };
  }
  return answer(read);
}

/** How findings that are not fixed stand: all, or those of a query over findings. */
export async function slaStatus(
  context: Pick<Rooms, 'clock' | 'posture'>,
  text: string | undefined,
): Promise<Answer<SlaStatus>> {
  const read = text === undefined ? null : readQuery(text, 'finding');
  if (read?.ok === false) return read;
  const query = read === null ? null : read.value.query;
  const now = context.clock.now().getTime();
  const totals = await context.posture.run(function* (fleet) {
    const selection = query === null ? null : yield* selectFindings(fleet, query, now);
    return yield* slaTotals(fleet, selection, now);
  });
  const total = noCounts();
  for (const { counts } of totals.byRule) {
    total.inTime += counts.inTime;
    total.dueSoon += counts.dueSoon;
    total.overdue += counts.overdue;
    total.paused += counts.paused;
  }
  return answer({
    findings: totals.findings,
    rules: totals.byRule.map(({ rule, counts }) => ({
      rule: rule.name,
      days: rule.days,
      ...wireCounts(counts),
      sentence: `${rule.name} (${String(rule.days)} ${rule.days === 1 ? 'day' : 'days'}): ${inWords(counts)}.`,
    })),
    total: wireCounts(total),
    no_rule: totals.noRule,
    undetermined: totals.undetermined,
    sampled: totals.sampled,
    sentence: overall(totals, total),
    as_of: asOf(context.posture),
  });
}

const wireCounts = ({ inTime, dueSoon, overdue, paused }: SlaCounts) => ({
  in_time: inTime,
  due_soon: dueSoon,
  overdue,
  paused,
});

function inWords({ inTime, dueSoon, overdue, paused }: SlaCounts): string {
  const parts = [`${String(inTime)} in time`];
  if (dueSoon > 0) parts.push(`${String(dueSoon)} of them due within ${String(soonDays)} days`);
  parts.push(`${String(overdue)} overdue`);
  if (paused > 0) parts.push(`${String(paused)} paused because they are accepted`);
  return parts.join(', ');
}

function overall({ findings, byRule, noRule, undetermined, sampled }: SlaTotals, total: SlaCounts): string {
  const all = `${String(findings)} ${findings === 1 ? 'finding' : 'findings'}`;
  if (byRule.length === 0) return `There are no SLA rules: of ${all} none is due by any time.`;
  const parts = [inWords(total)];
  if (noRule > 0) parts.push(`${String(noRule)} under no rule`);
  if (undetermined > 0) parts.push(`${String(undetermined)} of which it is not known which rule fits`);
  const estimated =
    sampled === null ? '' : ` Estimated from ${String(sampled.assets)} of ${String(sampled.of)} assets.`;
  return `Of ${all} ${parts.join(', ')}.${estimated}`;
}
