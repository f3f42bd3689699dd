import type { Command } from 'commander';
import {
  DistributionPoint,
  DistributionPointCreated,
  DistributionStatus,
} from '@fixpoint/contract/distribution.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask, tell } from '../http-client.ts';
import { fetchItems, forServer, printList, serverOf, type ServerOptions } from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import { facts, type Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const path = '/api/v1/distribution-points';

const columns: readonly Column<DistributionPoint>[] = [
  { title: 'NAME', of: (p) => p.name },
  {
    title: 'STATE',
    of: (p) => (p.last_seen_at === null ? 'never seen' : `${p.state}, seen ${relative(p.last_seen_at)}`),
  },
  { title: 'URL', of: (p) => p.url, yields: 2, least: 12 },
  { title: 'FOR', of: (p) => p.ranges.join(', '), yields: 3, least: 12 },
  { title: 'KEPT', of: (p) => (p.status === null ? '-' : bytes(p.status.bytes)), align: 'right' },
  { title: 'SERVED', of: (p) => (p.status === null ? '-' : bytes(p.status.served_bytes)), align: 'right' },
  { title: 'FETCHED', of: (p) => (p.status === null ? '-' : bytes(p.status.fetched_bytes)), align: 'right' },
  { title: 'DAMAGED', of: (p) => String(p.status?.damaged ?? '-'), align: 'right' },
  { title: 'SUSPECT', of: (p) => String(p.suspects.length), align: 'right' },
  { title: 'ID', of: (p) => p.id, yields: 4, least: 8 },
];

function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [count, 0];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

function statusText(s: DistributionStatus): string {
  return facts([
    ['kept', `${String(s.files)} files, ${bytes(s.bytes)} of at most ${bytes(s.limit_bytes)}`],
    ['served since start', `${bytes(s.served_bytes)} in ${String(s.requests)} requests`],
    ['fetched since start', bytes(s.fetched_bytes)],
    ['answered from the cache', String(s.from_cache)],
    [
      'fetched ahead',
      `${String(s.prestage.ready)} of ${String(s.prestage.wanted)} files; ${String(s.prestage.failed)} failed, ${String(s.prestage.unresolved)} packages not found in an index`,
    ],
    ['gone on with after a break', String(s.resumed)],
    ['damaged', String(s.damaged)],
    ['removed to make room', String(s.evicted)],
    ['passed on without keeping (disk full)', String(s.not_kept)],
    ['repositories', s.repositories.join(', ')],
  ]);
}

export function register(noun: Command): void {
  forServer(
    noun.command('status').description("the server's own point: what it keeps, served and fetches ahead"),
  ).action(async (options: ServerOptions) => {
    const status = await ask(serverOf(options), '/api/v1/distribution', DistributionStatus);
    if (options.json === true) printJson(status);
    else print(statusText(status));
  });
  forServer(noun.command('points').description('points near the hosts, and how they are')).action(
    async (options: ServerOptions) => {
      const list = await fetchItems(serverOf(options), path, DistributionPoint);
      printList(list, columns, options, 'No distribution point; packages come from the server itself.');
    },
  );
  forServer(noun.command('add').description('register a point near the hosts; its secret is shown once'))
    .argument('<name>', 'lower-case letters, digits and - . _')
    .requiredOption('--url <url>', 'where hosts reach it: http://HOST:8421')
    .requiredOption('--for <ranges>', 'addresses of these hosts, separated by commas: 10.1.0.0/16')
    .action(async (name: string, options: ServerOptions & { url: string; for: string }) => {
      const ranges = options.for.split(',').map((range) => range.trim());
      const created = await ask(serverOf(options), path, DistributionPointCreated, {
        method: 'POST',
        json: { name, url: options.url, ranges },
      });
      if (options.json === true) printJson(created);
      else {
        note('note: this is shown once and never again. On the machine of the point:');
        note('note:   FIXPOINT_TOKEN=… fixpoint distribution-point run --server URL');
        print(created.secret);
      }
    });
  forServer(noun.command('remove').description('a point: no host is sent to it any more'), false)
    .argument('<name>', 'its name or id')
    .action(async (name: string, options: ServerOptions) => {
      const to = serverOf(options);
      const { items } = await fetchItems(to, path, DistributionPoint);
      const point = items.find((one) => one.name === name || one.id === name);
      if (point === undefined) {
        throw new Failure(
          exitCodes.refused,
          'distribution_point_unknown',
          `there is no distribution point ${name}`,
          'See `fixpoint distribution points`.',
        );
      }
      await tell(to, `${path}/${point.id}`, { method: 'DELETE' });
      print(`Removed the distribution point ${point.name}.`);
    });
}
