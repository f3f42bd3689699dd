import type { Command } from 'commander';
import { Deployment, DeploymentDetail, type DeploymentAction } from '@fixpoint/contract/patch-job.ts';
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
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { harmless } from '../output/terminal.ts';
import { absolute, relative } from '../output/time.ts';
import { deploymentSentence, watchDeployment } from '../watch.ts';

const columns: readonly Column<Deployment>[] = [
  { title: 'STATE', of: (d) => d.state },
  { title: 'JOB', of: (d) => d.job_name, yields: 1, least: 12 },
  { title: 'TASKS', of: taskWords },
  { title: 'STARTED', of: (d) => relative(d.started_at), yields: 2, least: 10 },
  { title: 'ENDED', of: (d) => relative(d.ended_at), yields: 3, least: 10 },
  { title: 'BY', of: (d) => d.created_by, yields: 4, least: 8 },
  { title: 'ID', of: (d) => d.id },
];

function taskWords({ tasks }: Deployment): string {
  const words = Object.entries(tasks).map(([state, n]) => `${String(n)} ${state.replaceAll('_', ' ')}`);
  return words.length > 0 ? words.join(', ') : 'none';
}

type Task = DeploymentDetail['tasks'][number];

const taskColumns: readonly Column<Task>[] = [
  { title: 'STATE', of: (t) => t.state.replaceAll('_', ' ') },
  { title: 'ASSET', of: (t) => t.hostname },
  { title: 'SINCE', of: (t) => relative(t.updated_at) },
  {
    title: 'WHY',
    of: (t) => (t.stuck !== undefined ? `stuck, ${t.stuck.code}` : t.reason === null ? '-' : t.reason.code),
    yields: 2,
    least: 16,
  },
  {
    title: 'PACKAGES',
    of: (t) => t.packages.map((p) => `${p.name} ${p.to}`).join(', '),
    yields: 3,
    least: 16,
  },
  { title: 'TASK', of: (t) => t.id, yields: 1, least: 36 },
];

/** Different reasons that are told in full under the table; `task show` tells every one. */
const reasonsShown = 20;

/** What is behind the codes in the table: each different reason once, with how many tasks have it and what to do. */
export function reasonsText(tasks: readonly Pick<Task, 'reason' | 'stuck'>[]): string {
  const counts = new Map<string, number>();
  for (const { reason, stuck } of tasks) {
    const why = stuck ?? reason;
    if (why === null || why === undefined) continue;
    const advice = why.what_to_do === '' ? '' : `\n  what to do: ${harmless(why.what_to_do)}`;
    const text = `${harmless(`${why.code}: ${why.message}`)}${advice}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const lines = [...counts].slice(0, reasonsShown).map(([text, n]) => `${String(n)} × ${text}\n`);
  const rest = counts.size - lines.length;
  if (rest > 0) lines.push(`… and ${String(rest)} more; fixpoint task show TASK tells each\n`);
  return lines.join('');
}

const actions: readonly (readonly [verb: string, action: DeploymentAction, summary: string, done: string])[] =
  [
    ['pause', 'pause', 'offer no further task; what runs goes on', 'Paused'],
    ['resume', 'resume', 'go on', 'Resumed'],
    [
      'halt',
      'halt',
      'stop for good: no further task, queued ones are cancelled, running installs finish',
      'Halted',
    ],
    ['cancel', 'cancel', 'give up what has not begun', 'Cancelled'],
    ['retry', 'retry_failed', 'try the failed tasks again', 'Retrying the failed tasks of'],
    [
      'roll-back',
      'roll_back',
      'halt it, if it runs, and put the earlier versions back on every asset where that can be done',
      'Rolling back',
    ],
  ];

export function register(noun: Command): void {
  forList(noun.command('list').description('deployments, newest first'))
    .option('--job <id>', 'only of this patch job')
    .action(async (options: ListOptions & { job?: string }) => {
      const list = await fetchList(
        serverOf(options),
        '/api/v1/deployments',
        Deployment,
        { job: options.job },
        options,
      );
      printList(list, columns, options, 'No deployment. fixpoint job start begins one.');
    });
  forServer(
    noun.command('show').description('one deployment with its tasks').argument('<deployment>', 'id'),
  ).action(async (id: string, options: ServerOptions) => {
    const detail = await ask(
      serverOf(options),
      `/api/v1/deployments/${encodeURIComponent(id)}`,
      DeploymentDetail,
    );
    if (options.json === true) printJson(detail);
    else print(describe(detail));
  });
  forServer(
    noun.command('watch').description('stay until it has ended').argument('<deployment>', 'id'),
  ).action(async (id: string, options: ServerOptions) => {
    process.exitCode = await watchDeployment(serverOf(options), id, options.json === true);
  });
  for (const [verb, action, summary, done] of actions) {
    forServer(noun.command(verb).description(summary).argument('<deployment>', 'id'))
      .requiredOption('--reason <text>', 'why, for the audit trail')
      .action(async (id: string, options: ServerOptions & { reason: string }) => {
        const path = `/api/v1/deployments/${encodeURIComponent(id)}/actions`;
        const deployment = await ask(serverOf(options), path, Deployment, {
          method: 'POST',
          json: { action, reason: options.reason },
        });
        if (options.json === true) printJson(deployment);
        else
          print(
            `${done} ${deployment.job_name} (${deployment.id}); it is ${deployment.state}: ${taskWords(deployment)}.`,
          );
      });
  }
}

function describe(detail: DeploymentDetail): string {
  const { deployment: d, tasks, plan } = detail;
  const reasons = reasonsText(tasks);
  return `${deploymentSentence(detail)}\n\n${facts([
    ['deployment', d.id],
    ['job', `${d.job_name} (${d.job_id})`],
    ['plan', d.plan_digest],
    ['started', absolute(d.started_at)],
    ['ended', absolute(d.ended_at)],
    ['by', d.created_by],
    [
      'got nothing',
      plan.excluded.length > 0
        ? plan.excluded.map((e) => `${e.hostname} (${e.reason.replaceAll('_', ' ')})`).join(', ')
        : null,
    ],
  ])}\n${table(taskColumns, tasks)}${reasons === '' ? '' : `\n${reasons}`}`;
}
