import type { Command } from 'commander';
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { BundleImport, BundleKey, BundleKeys } from '@fixpoint/contract/feed.ts';
import { exitCodes } from '../exit-codes.ts';
import { ask, stream } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { Progress } from '../output/progress.ts';
import { note, print, printJson } from '../output/stream.ts';
import { harmless } from '../output/terminal.ts';
import { table } from '../output/table.ts';
import { relative } from '../output/time.ts';
import { size } from './status.ts';

/** A bundle may be many gigabytes on a slow line. */
const longSeconds = 12 * 3600;

export function registerBundle(noun: Command, sizeOf: (file: string) => number): void {
  const bundle = noun.command('bundle').description('signed archives of feeds, for sites without a network');

  forServer(bundle.command('export').description('what is held, as it was published'), false)
    .argument('<file>', 'compressed when it ends in .zst')
    .option('--feeds <list>', 'only these, separated by commas')
    .action(async (file: string, options: ServerOptions & { feeds?: string }) => {
      const compress = file.endsWith('.zst') ? 'zstd' : 'none';
      const query = { feeds: options.feeds, compress };
      const to = serverOf(options);
      const body = await stream(to, '/api/v1/feed-bundle', { query, timeoutSeconds: longSeconds });
      const part = `${file}.part`;
      const progress = new Progress(`Writing ${basename(file)}`, 0);
      let written = 0;
      try {
        await pipeline(
          // the two libraries describe the same streams
          Readable.fromWeb(body as NodeReadableStream),
          async function* (source: AsyncIterable<Uint8Array>) {
            for await (const chunk of source) {
              written += chunk.length;
              if (process.stderr.isTTY) progress.say(size(written));
              yield chunk;
            }
          },
          createWriteStream(part, { mode: 0o644 }),
        );
        renameSync(part, file);
      } catch (error) {
        rmSync(part, { force: true });
        throw error;
      } finally {
        progress.end();
      }
      const keys = await ask(to, '/api/v1/feed-bundle/keys', BundleKeys);
      print(`${file}: ${size(written)}, signed with the key ${keys.own}`);
      note('note: on the other side, once: fixpoint feed bundle trust add KEY --name NAME');
    });

  forServer(bundle.command('import').description('what bundle export made; each feed in it by itself'))
    .argument('<file>')
    .option(
      '--key <key>',
      'take it if it is signed with this key, though nobody has said that it is to be trusted',
    )
    .option('--allow-older', 'go back to older knowledge than is held')
    .option('--allow-shrink', 'take a feed that lacks much of what is held')
    .action(
      async (
        file: string,
        options: ServerOptions & { key?: string; allowOlder?: boolean; allowShrink?: boolean },
      ) => {
        const bytes = sizeOf(file);
        const result = await ask(serverOf(options), '/api/v1/feed-bundle', BundleImport, {
          method: 'POST',
          query: {
            key: options.key,
            allow_older: options.allowOlder === true ? true : undefined,
            allow_shrink: options.allowShrink === true ? true : undefined,
          },
          body: uploadOf(file, bytes),
          timeoutSeconds: longSeconds,
        });
        if (options.json === true) printJson(result);
        else printResult(result);
        if (result.feeds.some((feed) => feed.outcome === 'refused')) process.exitCode = exitCodes.refused;
      },
    );

  const trust = bundle.command('trust').description('keys of servers whose bundles are taken');
  forServer(trust.command('list').description("this server's own key, and those that are trusted")).action(
    async (options: ServerOptions) => {
      const keys = await ask(serverOf(options), '/api/v1/feed-bundle/keys', BundleKeys);
      if (options.json === true) return printJson(keys);
      print(`This server signs with ${keys.own}\n`);
      if (keys.trusted.length === 0) return print('No other key is trusted.');
      print(
        table<BundleKey>(
          [
            { title: 'KEY', of: (key) => key.public_key },
            { title: 'NAME', of: (key) => key.name },
            { title: 'ADDED', of: (key) => relative(key.added_at) },
            { title: 'BY', of: (key) => key.added_by },
          ],
          keys.trusted,
        ),
      );
    },
  );
  forServer(trust.command('add').description('take bundles that are signed with this key'))
    .argument('<key>', 'as fixpoint feed bundle trust list shows it on the other server')
    .requiredOption('--name <name>', 'whose it is')
    .action(async (key: string, options: ServerOptions & { name: string }) => {
      const added = await ask(serverOf(options), '/api/v1/feed-bundle/keys', BundleKey, {
        method: 'POST',
        json: { public_key: key, name: options.name },
      });
      if (options.json === true) printJson(added);
      else print(`Bundles of ${added.name} are taken from now on.`);
    });
  forServer(trust.command('remove').description('take no more bundles that are signed with this key'))
    .argument('<key>')
    .action(async (key: string, options: ServerOptions) => {
      const path = `/api/v1/feed-bundle/keys/${encodeURIComponent(key)}`;
      const removed = await ask(serverOf(options), path, BundleKey, { method: 'DELETE' });
      if (options.json === true) printJson(removed);
      else print(`Bundles of ${removed.name} are no longer taken; what was imported from them stays.`);
    });
}

/** A file as the body of a request, with a bar. */
export function uploadOf(file: string, bytes: number): ReadableStream<Uint8Array> {
  const progress = new Progress(`Sending ${basename(file)}`, bytes);
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    try {
      let sent = 0;
      for await (const chunk of createReadStream(file)) {
        const piece: unknown = chunk;
        if (!(piece instanceof Uint8Array)) throw new TypeError('a file is read as bytes');
        sent += piece.length;
        progress.at(sent);
        yield piece;
      }
      progress.say('sent; the server reads and matches');
    } finally {
      progress.end();
    }
  };
  return Readable.toWeb(Readable.from(counted())) as ReadableStream<Uint8Array>;
}

function printResult(result: BundleImport): void {
  print(`Bundle of ${relative(result.created_at)}, signed by ${harmless(result.signed_by)}:`);
  for (const { feed, outcome, as_of, import: done, error } of result.feeds) {
    if (error !== null) {
      print(
        `  ${feed}: refused (${error.code}): ${harmless(error.message)}\n    what to do: ${harmless(error.what_to_do)}`,
      );
    } else if (done !== null) {
      print(
        `  ${feed}: ${String(done.added)} new, ${String(done.changed)} changed, ${String(done.withdrawn)} withdrawn; knowledge of ${relative(as_of)}`,
      );
    } else print(`  ${feed}: ${outcome}; knowledge of ${relative(as_of)}`);
  }
}
