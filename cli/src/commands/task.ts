import type { Command } from 'commander';
import { TaskDetail, type TaskAction } from '@fixpoint/contract/patch-job.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, wholeNumber, type ServerOptions } from '../list.ts';
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute } from '../output/time.ts';
import { followTaskLog, printTaskLog } from '../task-log.ts';

const actions: readonly (readonly [verb: string, action: TaskAction, summary: string, done: string])[] = [
  ['cancel', 'cancel', 'give the task up where the host has not begun to install', 'Cancelled'],
  ['retry', 'retry', 'try a failed task again', 'Retrying'],
  ['roll-back', 'roll_back', 'put the earlier versions back on this host', 'Rolling back'],
];

export function register(noun: Command): void {
  forServer(
    noun.command('show').description('one task, with everything that happened').argument('<task>', 'id'),
  ).action(async (id: string, options: ServerOptions) => {
    const detail = await ask(serverOf(options), pathOf(id), TaskDetail);
    if (options.json === true) printJson(detail);
    else print(describe(detail));
  });
  forServer(
    noun
      .command('log')
      .description('what the commands of a task write on its host')
      .argument('<task>', 'id')
      .option('-f, --follow', 'as it comes, until the task has ended')
      .option('--generation <n>', 'only of this attempt (without --follow)'),
  ).action(async (id: string, options: ServerOptions & { follow?: boolean; generation?: string }) => {
    const json = options.json === true;
    const generation =
      options.generation === undefined ? undefined : wholeNumber(options.generation, '--generation');
    process.exitCode =
      options.follow === true
        ? await followTaskLog(serverOf(options), id, json)
        : await printTaskLog(serverOf(options), id, { generation, json });
  });
  for (const [verb, action, summary, done] of actions) {
    forServer(noun.command(verb).description(summary).argument('<task>', 'id'))
      .requiredOption('--reason <text>', 'why, for the audit trail')
      .action(async (id: string, options: ServerOptions & { reason: string }) => {
        const detail = await ask(serverOf(options), `${pathOf(id)}/actions`, TaskDetail, {
          method: 'POST',
          json: { action, reason: options.reason },
        });
        if (options.json === true) printJson(detail);
        else print(`${done} the task of ${detail.task.hostname} (${id}); it is ${words(detail.task.state)}.`);
      });
  }
}

const pathOf = (id: string): string => `/api/v1/tasks/${encodeURIComponent(id)}`;
const words = (state: string): string => state.replaceAll('_', ' ');

type Event = TaskDetail['events'][number];

const columns: readonly Column<Event>[] = [
  { title: 'AT (UTC)', of: (e) => e.at.slice(0, 19).replace('T', ' ') },
  { title: 'STATE', of: (e) => e.to },
  { title: 'BY', of: (e) => e.source },
  { title: 'MESSAGE', of: (e) => e.message ?? '', yields: 1, least: 20 },
];

function describe({ task, deployment_id, events }: TaskDetail): string {
  let text = `${task.hostname}: ${words(task.state)}${task.reason === null ? '' : `. ${task.reason.message}`}\n\n`;
  text += facts([
    ['task', task.id],
    ['deployment', deployment_id],
    ['why', task.reason === null ? null : `${task.reason.code}: ${task.reason.message}`],
    ['what to do', task.reason?.what_to_do ?? null],
    ['stuck', task.stuck === undefined ? null : `${task.stuck.code}: ${task.stuck.message}`],
    ['since', absolute(task.stuck?.since ?? null)],
    ['what to do', task.stuck?.what_to_do ?? null],
    ['packages', task.packages.map((p) => `${p.name} ${p.from} → ${p.to}`).join(', ')],
    ['must be gone', task.fixes.join(', ')],
    ['offered', absolute(task.offered_at)],
    ['ended', absolute(task.ended_at)],
    ['log', `fixpoint task log ${task.id}${task.ended_at === null ? ' --follow' : ''}`],
  ]);
  return `${text}\n${table(columns, events)}`;
}
