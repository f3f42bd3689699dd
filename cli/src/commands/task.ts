import type { Command } from 'commander';
import { TaskDetail } from '@fixpoint/contract/patch-job.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute } from '../output/time.ts';

export function register(noun: Command): void {
  forServer(
    noun.command('show').description('one task, with everything that happened').argument('<task>', 'id'),
  ).action(async (id: string, options: ServerOptions) => {
    const detail = await ask(serverOf(options), `/api/v1/tasks/${encodeURIComponent(id)}`, TaskDetail);
    if (options.json === true) printJson(detail);
    else print(describe(detail));
  });
}

type Event = TaskDetail['events'][number];

const columns: readonly Column<Event>[] = [
  { title: 'AT', of: (e) => e.at.slice(0, 19).replace('T', ' ') },
  { title: 'STATE', of: (e) => e.to },
  { title: 'BY', of: (e) => e.source },
  { title: 'MESSAGE', of: (e) => e.message ?? '', yields: 1, least: 20 },
];

function describe({ task, deployment_id, events }: TaskDetail): string {
  let text = `${task.hostname}: ${task.state.replaceAll('_', ' ')}${task.reason === null ? '' : `. ${task.reason.message}`}\n\n`;
  text += facts([
    ['task', task.id],
    ['deployment', deployment_id],
    ['why', task.reason === null ? null : `${task.reason.code}: ${task.reason.message}`],
    ['what to do', task.reason?.what_to_do ?? null],
    ['packages', task.packages.map((p) => `${p.name} ${p.from} → ${p.to}`).join(', ')],
    ['must be gone', task.fixes.join(', ')],
    ['offered', absolute(task.offered_at)],
    ['ended', absolute(task.ended_at)],
  ]);
  return `${text}\n${table(columns, events)}`;
}
