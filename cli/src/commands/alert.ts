import type { Command } from 'commander';
import { Alert } from '@fixpoint/contract/audit.ts';
import { tell } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { print } from '../output/stream.ts';
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<Alert>[] = [
  {
    title: 'SEVERITY',
    of: (a) => a.severity,
    style: (a) => (a.severity === 'critical' ? 'red' : a.severity === 'warning' ? 'yellow' : undefined),
  },
  { title: 'RAISED', of: (a) => relative(a.raised_at) },
  { title: 'KIND', of: (a) => a.kind, yields: 2, least: 10 },
  { title: 'MESSAGE', of: (a) => a.message },
  { title: 'WHAT TO DO', of: (a) => a.what_to_do, yields: 4, least: 20 },
  {
    title: 'ACKNOWLEDGED',
    of: (a) => (a.acknowledged_by === null ? '-' : `${a.acknowledged_by} ${relative(a.acknowledged_at)}`),
    yields: 3,
    least: 12,
  },
  { title: 'ID', of: (a) => a.id, yields: 1, least: 36 },
];

export function register(noun: Command): void {
  forList(noun.command('list').description('alerts that nobody has acknowledged'))
    .option('--acknowledged', 'acknowledged ones too')
    .action(async (options: ListOptions & { acknowledged?: boolean }) => {
      const query = { open: options.acknowledged === true ? undefined : true };
      printList(
        await fetchList(serverOf(options), '/api/v1/alerts', Alert, query, options),
        columns,
        options,
        'No alert.',
      );
    });
  forServer(noun.command('ack').description('say that somebody sees to it'), false)
    .argument('<id...>')
    .action(async (ids: string[], options: ServerOptions) => {
      for (const id of ids) {
        await tell(serverOf(options), `/api/v1/alerts/${encodeURIComponent(id)}/acknowledge`, {
          method: 'POST',
        });
        print(`Acknowledged ${id}.`);
      }
    });
}
