import type { Command } from 'commander';
import { createReadStream, statSync } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { FeedImport, FeedStatus } from '@fixpoint/contract/audit.ts';
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
import { Progress } from '../output/progress.ts';
import { codeOf, print, printJson } from '../output/stream.ts';
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<FeedStatus>[] = [
  { title: 'FEED', of: (f) => f.id },
  {
    title: 'STATE',
    of: stateWords,
    style: (f) => (f.last_error !== null ? 'red' : f.stale ? 'yellow' : undefined),
  },
  { title: 'RECORDS', of: (f) => String(f.records), align: 'right' },
  { title: 'SKIPPED', of: (f) => String(f.rejected), align: 'right', yields: 3, least: 7 },
  { title: 'PUBLISHED', of: (f) => relative(f.published_at), yields: 1, least: 11 },
  { title: 'IMPORTED', of: (f) => relative(f.last_success_at), yields: 2, least: 11 },
  { title: 'TITLE', of: (f) => f.title, yields: 4, least: 16 },
];

function stateWords(f: FeedStatus): string {
  if (f.last_error !== null) return `failed: ${f.last_error}`;
  if (f.last_success_at === null) return 'never imported';
  return f.stale ? 'stale' : 'current';
}

export function register(noun: Command): void {
  forList(noun.command('status').description('every feed, its age and its last import')).action(
    async (options: ListOptions) => {
      printList(
        await fetchList(serverOf(options), '/api/v1/feeds', FeedStatus, {}, options),
        columns,
        options,
        'No feed.',
      );
    },
  );
  forServer(noun.command('import').description('a file as its publisher publishes it; all of it or nothing'))
    .argument('<feed>', 'id, as fixpoint feed status shows it')
    .argument('<file>')
    .option(
      '--allow-shrink',
      'take a file that lacks much of what is held, when the publisher really withdrew it',
    )
    .action(async (feed: string, file: string, options: ServerOptions & { allowShrink?: boolean }) => {
      const to = serverOf(options);
      const bytes = sizeOf(file);
      const progress = new Progress(`Sending ${basename(file)}`, bytes);
      const counted = async function* (): AsyncGenerator<Uint8Array> {
        let sent = 0;
        for await (const chunk of createReadStream(file)) {
          const piece: unknown = chunk;
          if (!(piece instanceof Uint8Array)) throw new TypeError('a file is read as bytes');
          sent += piece.length;
          progress.at(sent);
          yield piece;
        }
        progress.say('sent; the server reads and matches');
      };
      const result = await ask(to, `/api/v1/feeds/${encodeURIComponent(feed)}/import`, FeedImport, {
        method: 'POST',
        query: { name: basename(file), allow_shrink: options.allowShrink === true ? true : undefined },
        body: Readable.toWeb(Readable.from(counted())) as ReadableStream<Uint8Array>,
        timeoutSeconds: 3600,
      }).finally(() => progress.end());
      if (options.json === true) printJson(result);
      else {
        print(
          `${result.feed}: ${String(result.read)} records read in ${result.seconds.toFixed(1)} s: ${String(result.added)} new, ` +
            `${String(result.changed)} changed, ${String(result.unchanged)} unchanged, ${String(result.withdrawn)} withdrawn, ` +
            `${String(result.rejected)} could not be read and were skipped.`,
        );
      }
    });
}

function sizeOf(file: string): number {
  try {
    const state = statSync(file);
    if (state.isFile()) return state.size;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  throw new Failure(
    exitCodes.usage,
    'file_not_found',
    `there is no file ${file}`,
    'Name a file that the feed published.',
  );
}
