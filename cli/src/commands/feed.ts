import type { Command } from 'commander';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { FeedImport, FeedRejection, FeedStatus, type FeedSettingRequest } from '@fixpoint/contract/feed.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { registerBundle, uploadOf } from '../feed/bundle.ts';
import { columns, describeFeed, rejectionColumns } from '../feed/status.ts';
import { feedsMeant, syncFeeds } from '../feed/sync.ts';
import { ask } from '../http-client.ts';
import {
  fetchItems,
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  wholeNumber,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { codeOf, print, printJson } from '../output/stream.ts';

export function register(noun: Command): void {
  forList(noun.command('status').description('every feed: how old it is, its last import, its next sync'))
    .argument('[feed]', 'everything about one feed')
    .action(async (feed: string | undefined, options: ListOptions) => {
      const to = serverOf(options);
      if (feed !== undefined) {
        const [one] = await feedsMeant(to, [feed], false, () => false);
        if (options.json === true) printJson(one);
        else if (one !== undefined) print(describeFeed(one));
        return;
      }
      printList(await fetchList(to, '/api/v1/feeds', FeedStatus, {}, options), columns, options, 'No feed.');
    });
  forServer(noun.command('sync').description('download feeds now; without names those that are enabled'))
    .argument('[feed...]', 'ids, as fixpoint feed status shows them')
    .option('--all', 'all that can be downloaded')
    .option('--wait', 'show how far they are until they are done')
    .option(
      '--allow-shrink',
      'take one that lacks much of what is held, when the publisher really withdrew it',
    )
    .action(
      async (
        names: string[],
        options: ServerOptions & { all?: boolean; wait?: boolean; allowShrink?: boolean },
      ) => {
        const to = serverOf(options);
        const feeds = await feedsMeant(to, names, options.all === true, (feed) => feed.sync.enabled);
        process.exitCode = await syncFeeds(to, feeds, {
          wait: options.wait === true,
          json: options.json === true,
          allowShrink: options.allowShrink === true,
        });
      },
    );
  forServer(noun.command('enable').description('download feeds by schedule'))
    .argument('[feed...]', 'ids, as fixpoint feed status shows them')
    .option('--all', 'all that can be downloaded')
    .option(
      '--url <url>',
      "of one feed: a mirror instead of the publisher's address; empty for the publisher's",
    )
    .option('--every <seconds>', 'how often')
    .action(
      async (names: string[], options: ServerOptions & { all?: boolean; url?: string; every?: string }) => {
        if (options.url !== undefined && names.length !== 1) {
          throw new Failure(
            exitCodes.usage,
            'usage',
            '--url is for one feed',
            'Name the feed that it is the address of.',
          );
        }
        const change: FeedSettingRequest = {
          enabled: true,
          ...(options.url === undefined ? {} : { url: options.url === '' ? null : options.url }),
          ...(options.every === undefined ? {} : { interval_seconds: wholeNumber(options.every, '--every') }),
        };
        await set(serverOf(options), names, options, change, 'downloaded by schedule from now on');
      },
    );
  forServer(noun.command('disable').description('download feeds no longer by schedule; what is held stays'))
    .argument('[feed...]', 'ids, as fixpoint feed status shows them')
    .option('--all', 'all')
    .action(async (names: string[], options: ServerOptions & { all?: boolean }) => {
      await set(serverOf(options), names, options, { enabled: false }, 'downloaded only by hand from now on');
    });
  forServer(noun.command('import').description('a file as its publisher publishes it; all of it or nothing'))
    .argument('<feed>', 'id, as fixpoint feed status shows it')
    .argument('<file>')
    .option('--published <date>', 'of when it is; default: the time of the last change of the file')
    .option(
      '--allow-shrink',
      'take a file that lacks much of what is held, when the publisher really withdrew it',
    )
    .action(
      async (
        feed: string,
        file: string,
        options: ServerOptions & { allowShrink?: boolean; published?: string },
      ) => {
        const { bytes, changedAt } = stateOf(file);
        const result = await ask(
          serverOf(options),
          `/api/v1/feeds/${encodeURIComponent(feed)}/import`,
          FeedImport,
          {
            method: 'POST',
            query: {
              name: basename(file),
              published_at:
                options.published === undefined ? changedAt.toISOString() : instant(options.published),
              allow_shrink: options.allowShrink === true ? true : undefined,
            },
            body: uploadOf(file, bytes),
            timeoutSeconds: 3600,
          },
        );
        if (options.json === true) printJson(result);
        else {
          print(
            `${result.feed}: ${String(result.read)} records read in ${result.seconds.toFixed(1)} s: ${String(result.added)} new, ` +
              `${String(result.changed)} changed, ${String(result.unchanged)} unchanged, ${String(result.withdrawn)} withdrawn, ` +
              `${String(result.rejected)} could not be read and were skipped.`,
          );
        }
      },
    );
  forList(
    noun
      .command('rejections')
      .description('records of the last import that could not be read, and were skipped'),
  )
    .argument('<feed>', 'id, as fixpoint feed status shows it')
    .action(async (feed: string, options: ListOptions) => {
      const path = `/api/v1/feeds/${encodeURIComponent(feed)}/rejections`;
      printList(await fetchItems(serverOf(options), path, FeedRejection), rejectionColumns, options, 'None.');
    });
  registerBundle(noun, (file) => stateOf(file).bytes);
}

async function set(
  to: Connection,
  names: readonly string[],
  options: ServerOptions & { all?: boolean },
  change: FeedSettingRequest,
  words: string,
): Promise<void> {
  const feeds = await feedsMeant(to, names, options.all === true, () => false);
  const changed: FeedStatus[] = [];
  for (const { id } of feeds) {
    const path = `/api/v1/feeds/${encodeURIComponent(id)}/setting`;
    changed.push(await ask(to, path, FeedStatus, { method: 'PUT', json: change }));
  }
  if (options.json === true) printJson(changed);
  else print(`${changed.map((feed) => feed.id).join(', ')}: ${words}.`);
}

function instant(text: string): string {
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw new Failure(
    exitCodes.usage,
    'usage',
    `--published is ${JSON.stringify(text)}`,
    'Write it like 2026-11-22 or 2026-11-22T06:00:00Z.',
  );
}

function stateOf(file: string): { bytes: number; changedAt: Date } {
  try {
    const state = statSync(file);
    if (state.isFile()) return { bytes: state.size, changedAt: state.mtime };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  throw new Failure(
    exitCodes.usage,
    'file_not_found',
    `there is no file ${file}`,
    'Name a file that the feed published, or a bundle.',
  );
}
