import type { Command } from 'commander';
import {
  Acceptance,
  acceptanceStates,
  AcceptanceDetail,
  AcceptancePreview,
  type CoveredFinding,
} from '@fixpoint/contract/acceptance.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';
import { readLine } from '../prompt.ts';

const counted = (count: number, noun: string): string => `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
const shown = (count: number | null): string => (count === null ? '-' : String(count));

const columns: readonly Column<Acceptance>[] = [
  {
    title: 'STATE',
    of: (a) => (a.problem === null ? a.state.replaceAll('_', ' ') : 'cannot be judged'),
    style: styleOf,
  },
  { title: 'FINDINGS', of: (a) => shown(a.findings), align: 'right' },
  { title: 'ATTACKED', of: (a) => shown(a.exploited), align: 'right', yields: 2, least: 8 },
  { title: 'ENDS', of: (a) => relative(a.expires_at) },
  { title: 'OWNER', of: (a) => a.owner, yields: 3, least: 8 },
  { title: 'SCOPE', of: (a) => a.scope, yields: 4, least: 16 },
  { title: 'REASON', of: (a) => a.reason, yields: 5, least: 10 },
  { title: 'ID', of: (a) => a.id, yields: 1, least: 36 },
];

function styleOf({ problem, state }: Acceptance): 'yellow' | 'dim' | undefined {
  if (problem !== null) return 'yellow';
  return state === 'in_force' ? undefined : 'dim';
}

const findingColumns: readonly Column<CoveredFinding>[] = [
  { title: 'VULNERABILITY', of: (f) => f.vulnerability },
  { title: 'SCORE', of: (f) => f.score.toFixed(0), align: 'right' },
  { title: 'ATTACKED', of: (f) => (f.exploited ? 'yes' : ''), yields: 2, least: 8 },
  { title: 'PACKAGE', of: (f) => f.package },
  { title: 'HOSTNAME', of: (f) => f.hostname },
  { title: 'STATUS', of: (f) => f.status.replaceAll('_', ' '), yields: 1, least: 8 },
  { title: 'TITLE', of: (f) => f.title ?? '', yields: 3, least: 12 },
];

interface CreateOptions extends ServerOptions {
  readonly reason: string;
  readonly owner: string;
  readonly until: string;
  readonly from?: string;
  readonly yes?: boolean;
}

export function register(noun: Command): void {
  forList(noun.command('list').description('accepted risks, the newest first'))
    .option('--state <state>', `only those that are ${acceptanceStates.join(', ')}`)
    .action(async (options: ListOptions & { state?: string }) => {
      const query = { state: options.state };
      const list = await fetchList(serverOf(options), '/api/v1/acceptances', Acceptance, query, options);
      printList(
        list,
        columns,
        options,
        'No risk is accepted. fixpoint acceptance create SCOPE accepts some.',
      );
    });

  forServer(noun.command('show').description('one acceptance and the worst findings that it covers'))
    .argument('<id>')
    .action(async (id: string, options: ServerOptions) => {
      const detail = await ask(
        serverOf(options),
        `/api/v1/acceptances/${encodeURIComponent(id)}`,
        AcceptanceDetail,
      );
      if (options.json === true) printJson(detail);
      else print(describe(detail));
    });

  forServer(noun.command('preview').description('what a scope would accept now'))
    .argument(
      '<scope...>',
      "a query over findings, such as 'vulnerability = CVE-2024-6387 and asset.tag = lab'",
    )
    .action(async (scope: string[], options: ServerOptions) => {
      const preview = await previewOf(scope.join(' '), options);
      if (options.json === true) printJson(preview);
      else print(told(preview));
    });

  forServer(noun.command('create').description('accept the risk of what a scope covers, for a time'))
    .argument('<scope...>', 'a query over findings')
    .requiredOption('--reason <text>', 'why it is left as it is')
    .requiredOption('--owner <who>', 'who answers for it')
    .requiredOption('--until <date>', 'when it ends, at most 366 days ahead: 2027-01-31')
    .option('--from <date>', 'when it begins; without it, now')
    .option('--yes', 'without asking, once the preview is shown')
    .action(async (words: string[], options: CreateOptions) => {
      const scope = words.join(' ');
      const preview = await previewOf(scope, options);
      note(told(preview));
      if (options.yes !== true) await confirmed();
      const made = await ask(serverOf(options), '/api/v1/acceptances', Acceptance, {
        method: 'POST',
        json: {
          scope,
          reason: options.reason,
          owner: options.owner,
          expires_at: moment(options.until, '--until'),
          ...(options.from === undefined ? {} : { starts_at: moment(options.from, '--from') }),
        },
      });
      if (options.json === true) printJson(made);
      else print(`Accepted until ${absolute(made.expires_at) ?? ''} (${made.id}).`);
    });

  forServer(noun.command('revoke').description('end an acceptance now; what it covers is open again'))
    .argument('<id>')
    .requiredOption('--reason <text>', 'why, for the audit trail')
    .action(async (id: string, options: ServerOptions & { reason: string }) => {
      const revoked = await ask(
        serverOf(options),
        `/api/v1/acceptances/${encodeURIComponent(id)}/revoke`,
        Acceptance,
        { method: 'POST', json: { reason: options.reason } },
      );
      if (options.json === true) printJson(revoked);
      else print(`Revoked ${id}; what it covered is open again.`);
    });

  forServer(noun.command('extend').description('let an acceptance end later'))
    .argument('<id>')
    .requiredOption('--until <date>', 'its new end')
    .requiredOption('--reason <text>', 'why, for the audit trail')
    .action(async (id: string, options: ServerOptions & { until: string; reason: string }) => {
      const extended = await ask(
        serverOf(options),
        `/api/v1/acceptances/${encodeURIComponent(id)}/extend`,
        Acceptance,
        {
          method: 'POST',
          json: { expires_at: moment(options.until, '--until'), reason: options.reason },
        },
      );
      if (options.json === true) printJson(extended);
      else print(`It ends at ${absolute(extended.expires_at) ?? ''} now.`);
    });
}

async function previewOf(scope: string, options: ServerOptions): Promise<AcceptancePreview> {
  return await ask(serverOf(options), '/api/v1/acceptances/preview', AcceptancePreview, {
    method: 'POST',
    json: { scope },
  });
}

function told(preview: AcceptancePreview): string {
  const { findings, assets, risk, accepted_already, warnings, first, words } = preview;
  const already = accepted_already === 0 ? '' : `, ${String(accepted_already)} of them accepted already`;
  let text = `${words}\nNow ${counted(findings, 'finding')} on ${counted(assets, 'asset')}${already}.\n`;
  text += `Their risk, added up, would be shown as ${risk.shown_after.toFixed(1)} instead of ${risk.now.toFixed(1)}${risk.sampled_assets === null ? '' : ` (reckoned from ${String(risk.sampled_assets)} of them)`}.\n`;
  for (const warning of warnings) text += `Warning: ${warning}\n`;
  if (first.length > 0) text += `\n${table(findingColumns, first)}`;
  return text;
}

async function confirmed(): Promise<void> {
  const isAsked = process.stdin.isTTY;
  const answer = isAsked ? await readLine('Accept this risk? [y/N] ') : '';
  if (/^y(es)?$/iu.test(answer)) return;
  throw new Failure(
    exitCodes.usage,
    'not_confirmed',
    'nothing was accepted',
    isAsked ? 'Answer y to accept it.' : 'Give --yes once the preview is what is meant.',
  );
}

/** A day ends it at its beginning in UTC; a moment is taken as it is. */
function moment(text: string, option: string): string {
  const milliseconds = Date.parse(/^\d{4}-\d{2}-\d{2}$/u.test(text) ? `${text}T00:00:00Z` : text);
  if (Number.isNaN(milliseconds)) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      `${option} is no date: ${text}`,
      'Write it like 2027-01-31 or 2027-01-31T18:00:00Z.',
    );
  }
  return new Date(milliseconds).toISOString();
}

function describe({ acceptance: a, first }: AcceptanceDetail): string {
  let text = `${a.words}\n\n`;
  text += facts([
    ['state', a.state.replaceAll('_', ' ')],
    ['problem', a.problem],
    ['owner', a.owner],
    ['reason', a.reason],
    ['from', absolute(a.starts_at)],
    ['until', absolute(a.expires_at)],
    ['accepted by', `${a.created_by}, ${absolute(a.created_at) ?? ''}`],
    [
      'revoked',
      a.revoked_at === null
        ? null
        : `${absolute(a.revoked_at) ?? ''} by ${a.revoked_by ?? '?'}: ${a.revoked_reason ?? ''}`,
    ],
    ['scope', a.scope],
    [
      'covers',
      a.findings === null ? null : `${counted(a.findings, 'finding')} on ${counted(a.assets ?? 0, 'asset')}`,
    ],
    ['attacked now', a.exploited === null ? null : String(a.exploited)],
  ]);
  if (first.length > 0) text += `\n${table(findingColumns, first)}`;
  return text;
}
