import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Value } from 'typebox/value';
import { Type } from 'typebox';
import { SlaRule, SlaRules, SlaStatus } from '@fixpoint/contract/sla.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { codeOf, note, print, printJson } from '../output/stream.ts';
import { table, type Column } from '../output/table.ts';

const rulesPath = '/api/v1/sla-rules';

const ruleColumns: readonly Column<SlaRule>[] = [
  { title: 'RULE', of: (r) => r.name },
  { title: 'DAYS', of: (r) => String(r.days), align: 'right' },
  { title: 'WHEN', of: (r) => whenInWords(r.when), yields: 1, least: 12 },
  {
    title: 'KEV DATE',
    of: (r) => (r.kev_due_date === 'if_earlier' ? 'if earlier' : ''),
    yields: 2,
    least: 8,
  },
  { title: 'FIXED AND BACK', of: (r) => (r.reopened ?? '').replaceAll('_', ' '), yields: 3, least: 8 },
];

const statusColumns: readonly Column<SlaStatus['rules'][number]>[] = [
  { title: 'RULE', of: (r) => r.rule },
  { title: 'DAYS', of: (r) => String(r.days), align: 'right' },
  {
    title: 'OVERDUE',
    of: (r) => String(r.overdue),
    align: 'right',
    style: (r) => (r.overdue > 0 ? 'red' : undefined),
  },
  { title: 'WITHIN 7 DAYS', of: (r) => String(r.due_soon), align: 'right' },
  { title: 'IN TIME', of: (r) => String(r.in_time), align: 'right' },
  { title: 'PAUSED', of: (r) => String(r.paused), align: 'right', yields: 1, least: 6 },
];

/** A file as `show --json` prints it, or the list of rules alone. */
const RulesFile = Type.Union([
  Type.Array(SlaRule),
  Type.Object({ version: Type.Optional(Type.String()), rules: Type.Array(SlaRule) }),
]);

export function register(noun: Command): void {
  forServer(
    noun.command('show').description('by when findings are due; the first rule that fits counts'),
  ).action(async (options: ServerOptions) => {
    const rules = await ask(serverOf(options), rulesPath, SlaRules);
    if (options.json === true) printJson(rules);
    else if (rules.rules.length > 0) print(table(ruleColumns, rules.rules));
    else {
      print('No rule: no finding is due by any time. These could be saved (fixpoint sla set --suggested):\n');
      print(table(ruleColumns, rules.suggestion ?? []));
    }
  });

  forServer(
    noun.command('set').description('save all rules, from a file of JSON as fixpoint sla show --json prints'),
  )
    .argument('[file]', 'with a version in it, only when nobody has saved others since')
    .option('--suggested', 'what is suggested where there are no rules')
    .action(async (file: string | undefined, options: ServerOptions & { suggested?: boolean }) => {
      const to = serverOf(options);
      const current = await ask(to, rulesPath, SlaRules);
      const given = options.suggested === true ? (current.suggestion ?? current.rules) : readRules(file);
      const { rules, version = current.version } = Array.isArray(given)
        ? { rules: given, version: current.version }
        : given;
      const saved = await ask(to, rulesPath, SlaRules, { method: 'PUT', json: { version, rules } });
      if (options.json === true) printJson(saved);
      else print(table(ruleColumns, saved.rules));
    });

  forServer(noun.command('status').description('how findings stand: in time, overdue, paused'))
    .argument('[query...]', 'a query over findings; without one, all')
    .action(async (words: string[], options: ServerOptions) => {
      const query = words.length === 0 ? {} : { query: { query: words.join(' ') } };
      const status = await ask(serverOf(options), '/api/v1/sla', SlaStatus, {
        ...query,
        timeoutSeconds: 300,
      });
      if (options.json === true) {
        printJson(status);
        return;
      }
      if (status.rules.length > 0) print(table(statusColumns, status.rules));
      note(status.sentence);
    });
}

function readRules(file: string | undefined): SlaRule[] | { version?: string; rules: SlaRule[] } {
  if (file === undefined)
    throw new Failure(exitCodes.usage, 'usage', 'a file is missing', 'Name a file, or give --suggested.');
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Failure(
      exitCodes.inputUnusable,
      'file_unreadable',
      `${file} could not be read as JSON (${codeOf(error) || 'no JSON'})`,
      'Write it as fixpoint sla show --json does.',
    );
  }
  if (Value.Check(RulesFile, value)) return value;
  const [first] = Value.Errors(RulesFile, value);
  throw new Failure(
    exitCodes.inputUnusable,
    'file_not_understood',
    `${file} holds no SLA rules (${first?.instancePath ?? ''} ${first?.message ?? ''})`,
    'Write it as fixpoint sla show --json does.',
  );
}

function whenInWords(when: SlaRule['when']): string {
  const parts: string[] = [];
  if (when.exploited !== undefined) parts.push(when.exploited ? 'attacked' : 'not attacked');
  if (when.score_at_least !== undefined) parts.push(`score from ${String(when.score_at_least)}`);
  if (when.score_below !== undefined) parts.push(`score below ${String(when.score_below)}`);
  if (when.criticality_at_least !== undefined)
    parts.push(`criticality from ${String(when.criticality_at_least)}`);
  if (when.any_tag !== undefined) parts.push(`tag ${when.any_tag.join(' or ')}`);
  return parts.length === 0 ? 'always' : parts.join(', ');
}
