import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { DeploymentAccuracy } from '@fixpoint/contract/accuracy.ts';
import { PlanDetail, PlanSummary } from '@fixpoint/contract/plan.ts';
import { sleep } from '../clock.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask, stream } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  wholeNumber,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { note, print, printJson, writeAll } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';
import { planText } from '../plan-text.ts';
import { jobOf } from './job.ts';

const pollEveryMs = 1_000;

const columns: readonly Column<PlanSummary>[] = [
  { title: 'STATE', of: (p) => p.state },
  { title: 'ANSWERED', of: (p) => `${String(p.answered)} of ${String(p.asked)}` },
  { title: 'MADE', of: (p) => `${relative(p.created_at)} by ${p.created_by}`, yields: 1, least: 12 },
  { title: 'DIGEST', of: (p) => p.digest?.slice(0, 12) ?? '-', yields: 2, least: 12 },
  { title: 'ID', of: (p) => p.id },
];

interface MakeOptions extends ServerOptions {
  readonly wait?: boolean;
  readonly waitSeconds?: string;
  readonly keepUnanswered?: boolean;
}

export function register(noun: Command): void {
  forServer(noun.command('make').description('plan a job, and ask each asset what would really happen there'))
    .argument('<job>', 'id, or name when unique')
    .option('--wait', 'stay until it is ready, and show it')
    .option('--wait-seconds <seconds>', 'how long assets may take to answer (default: 600)')
    .option('--keep-unanswered', 'assets that do not answer get what could be told without asking')
    .action(make);

  forList(
    noun.command('list').description('plans of a job, newest first').argument('<job>', 'id, or name'),
  ).action(async (reference: string, options: ListOptions) => {
    const to = serverOf(options);
    const { id } = await jobOf(to, reference);
    const list = await fetchList(to, `/api/v1/jobs/${id}/plans`, PlanSummary, {}, options);
    printList(list, columns, options, 'No plan. fixpoint plan make JOB makes one.');
  });

  forServer(noun.command('show').description('one plan').argument('<plan>', 'id')).action(
    async (id: string, options: ServerOptions) => {
      const plan = await planOf(serverOf(options), id);
      if (options.json === true) printJson(plan);
      else print(describe(plan));
    },
  );

  forServer(
    noun.command('export').description('a plan that is ready, as a file').argument('<plan>', 'id'),
    false,
  )
    .option('--format <format>', 'json (SHA-256 of the file is the digest) or csv', 'json')
    .option('--output <file>', 'default: named like the plan; - is standard output')
    .option('--force', 'write over a file that is there')
    .action(exportPlan);

  forServer(noun.command('accuracy').description('what was predicted for a deployment, beside what happened'))
    .argument('<deployment>', 'id')
    .action(async (id: string, options: ServerOptions) => {
      const path = `/api/v1/deployments/${encodeURIComponent(id)}/accuracy`;
      const accuracy = await ask(serverOf(options), path, DeploymentAccuracy);
      if (options.json === true) printJson(accuracy);
      else print(accuracyText(accuracy));
    });

  forServer(noun.command('discard').description('ask nobody any more, and never start it'))
    .argument('<plan>', 'id')
    .option('--reason <text>', 'why, for the audit trail')
    .action(async (id: string, options: ServerOptions & { reason?: string }) => {
      const plan = await ask(
        serverOf(options),
        `/api/v1/plans/${encodeURIComponent(id)}/discard`,
        PlanSummary,
        { method: 'POST', json: options.reason === undefined ? {} : { reason: options.reason } },
      );
      if (options.json === true) printJson(plan);
      else print(`Discarded the plan ${id}.`);
    });
}

async function make(reference: string, options: MakeOptions): Promise<void> {
  const to = serverOf(options);
  const job = await jobOf(to, reference);
  const made = await ask(to, `/api/v1/jobs/${job.id}/plans`, PlanSummary, {
    method: 'POST',
    json: {
      ...(options.waitSeconds === undefined
        ? {}
        : { wait_seconds: wholeNumber(options.waitSeconds, '--wait-seconds') }),
      ...(options.keepUnanswered === true ? { unanswered: 'keep' } : {}),
    },
  });
  if (options.wait === true) {
    await waitFor(to, made, options.json === true);
  } else if (options.json === true) {
    printJson(made);
  } else {
    print(`Asking ${String(made.asked)} assets until ${absolute(made.deadline_at) ?? ''} (${made.id}).`);
    print(`fixpoint plan show ${made.id}   shows what they answer`);
  }
}

/** Ctrl-C stops waiting and nothing else. */
async function waitFor(to: Connection, made: PlanSummary, json: boolean): Promise<void> {
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort();
  process.once('SIGINT', onInterrupt);
  let told = '';
  try {
    for (;;) {
      const plan = await planOf(to, made.id);
      const answered = `${String(plan.answered)} of ${String(plan.asked)} assets have answered`;
      if (plan.state !== 'simulating') {
        if (json) printJson(plan);
        else print(describe(plan));
        return;
      }
      if (!json && answered !== told) note(answered);
      told = answered;
      await sleep(pollEveryMs, stop.signal);
      if (stop.signal.aborted) {
        note(`\nnote: no longer waiting; the assets are asked on. fixpoint plan show ${made.id}`);
        process.exitCode = exitCodes.interrupted;
        return;
      }
    }
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

async function planOf(to: Connection, id: string): Promise<PlanDetail> {
  return await ask(to, `/api/v1/plans/${encodeURIComponent(id)}`, PlanDetail);
}

const after: Readonly<Record<PlanDetail['state'], (plan: PlanDetail) => string>> = {
  simulating: (plan) => `waits for answers until ${absolute(plan.deadline_at) ?? ''}`,
  ready: (plan) => `ready until ${absolute(plan.expires_at) ?? ''}`,
  started: (plan) => `started: fixpoint deployment show ${plan.deployment_id ?? ''}`,
  discarded: () => 'discarded',
};

/** How far it is, and what it says. */
export function describe(plan: PlanDetail): string {
  const head = facts([
    ['plan', plan.id],
    ['job', plan.job_name],
    ['state', after[plan.state](plan)],
    [
      'answered',
      `${String(plan.answered)} of ${String(plan.asked)}${plan.given_up === 0 ? '' : `; of ${String(plan.given_up)} no answer is expected any more`}`,
    ],
    ['made', `${absolute(plan.created_at) ?? ''} by ${plan.created_by}`],
  ]);
  const isToStart = plan.state === 'ready' && plan.plan.tasks.length > 0;
  const next = isToStart ? `fixpoint job start ${plan.job_id} --plan ${plan.id}   starts exactly this\n` : '';
  return `${head}\n${planText(plan.plan)}${next}`;
}

interface DifferenceRow {
  readonly hostname: string;
  readonly what: string;
  readonly predicted: string;
  readonly actual: string;
}
const differenceColumns: readonly Column<DifferenceRow>[] = [
  { title: 'ASSET', of: (d) => d.hostname },
  { title: 'WHAT', of: (d) => d.what },
  { title: 'PREDICTED', of: (d) => d.predicted },
  { title: 'HAPPENED', of: (d) => d.actual },
];

/** How many tasks went as predicted, and each difference of the others. */
export function accuracyText({ totals, tasks }: DeploymentAccuracy): string {
  const rows = tasks.flatMap(({ hostname, differences }) =>
    differences.map(({ kind, subject, predicted, actual }): DifferenceRow => ({
      hostname,
      what: `${kind} ${subject}`.trim(),
      predicted,
      actual,
    })),
  );
  const rest = totals.tasks - totals.compared;
  const head = `${String(totals.as_predicted)} of ${String(totals.compared)} tasks went as predicted${rest === 0 ? '' : `; ${String(rest)} cannot be compared, as they were not asked or have not installed`}.`;
  return rows.length === 0 ? head : `${head}\n\n${table(differenceColumns, rows)}`;
}

async function exportPlan(
  id: string,
  options: ServerOptions & { format: string; output?: string; force?: boolean },
): Promise<void> {
  const { format } = options;
  if (format !== 'json' && format !== 'csv') {
    throw new Failure(
      exitCodes.usage,
      'usage',
      `--format is ${JSON.stringify(format)}`,
      'Give --format json or csv.',
    );
  }
  const file = options.output ?? `plan-${id}.${format}`;
  if (file !== '-' && options.force !== true && existsSync(file)) {
    throw new Failure(
      exitCodes.usage,
      'file_exists',
      `${file} is there already`,
      'Give --force to write over it, or another --output.',
    );
  }
  const bytes = await stream(serverOf(options), `/api/v1/plans/${encodeURIComponent(id)}/export`, {
    query: { format },
  });
  const text = await new Response(bytes).text();
  if (file === '-') {
    writeAll(1, text);
    return;
  }
  await writeFile(file, text);
  note(`wrote ${file}`);
}
