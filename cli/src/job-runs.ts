import type { Command } from 'commander';
import type { PatchJob } from '@fixpoint/contract/patch-job.ts';
import { JobRuns, type JobRun } from '@fixpoint/contract/schedule.ts';
import type { Connection } from './connection.ts';
import { ask } from './http-client.ts';
import { forServer, serverOf, wholeNumber, type ServerOptions } from './list.ts';
import { inZone, ownZone } from './output/local-time.ts';
import { print, printJson } from './output/stream.ts';
import { table, type Column } from './output/table.ts';
import { relative } from './output/time.ts';

/** `fixpoint job runs`: what came of the runs of a scheduled job, and when it runs next. */
export function registerRuns(
  noun: Command,
  jobOf: (to: Connection, reference: string) => Promise<PatchJob>,
): void {
  forServer(noun.command('runs').description('when a scheduled job runs next, and what came of it before'))
    .argument('<job>', 'id, or name when unique')
    .option('--limit <n>', 'at most so many past ones', '20')
    .action(async (reference: string, options: ServerOptions & { limit: string }) => {
      const to = serverOf(options);
      const limit = wholeNumber(options.limit, '--limit');
      const job = await jobOf(to, reference);
      const runs = await ask(to, `/api/v1/jobs/${job.id}/runs`, JobRuns, { query: { limit } });
      if (options.json === true) printJson(runs);
      else print(describe(job, runs));
    });
}

function describe({ definition }: PatchJob, { zone, past, next }: JobRuns): string {
  if (zone === null) return `${definition.name} has no schedule: it is started by hand.`;
  const own = ownZone();
  const here: Column<string>[] =
    own === zone ? [] : [{ title: `HERE (${own})`, of: (time) => inZone(time, own), yields: 1, least: 20 }];
  const nextColumns: Column<string>[] = [
    { title: `IN ${zone}`, of: (time) => inZone(time, zone) },
    ...here,
    { title: 'FROM NOW', of: (time) => relative(time) },
  ];
  const pastColumns: Column<JobRun>[] = [
    { title: `DUE (${zone})`, of: (run) => inZone(run.due_at, zone) },
    {
      title: 'OUTCOME',
      of: (run) => (run.outcome === null ? 'started' : `${run.outcome.code}: ${run.outcome.message}`),
      yields: 1,
      least: 20,
    },
    { title: 'DEPLOYMENT', of: (run) => run.deployment_id ?? '' },
  ];
  const parts = [
    next.length === 0 ? 'It does not run any more.' : `Next runs:\n${table(nextColumns, next)}`,
    ...(past.length === 0 ? [] : [`Past runs, newest first:\n${table(pastColumns, past)}`]),
  ];
  return parts.join('\n');
}
