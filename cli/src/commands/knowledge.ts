import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { knownFeeds, makeKnowledgeFrom, type FeedInput } from '../knowledge/make.ts';
import { codeOf, print } from '../output/stream.ts';

interface MakeOptions {
  readonly out: string;
  readonly feed: readonly string[];
  readonly extract: boolean;
}

/** `fixpoint knowledge make`. */
export function register(noun: Command): void {
  noun
    .command('make')
    .description('make knowledge files for `fixpoint scan --knowledge`, one for each system and release')
    .requiredOption('--out <dir>', 'folder to write them into; it is made when it is not there')
    .option(
      '--feed <id=file>',
      'a published file of a feed, such as alpine-secdb=main.json; may be given again',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option('--no-extract', 'only what the files say, without the data that Fixpoint brings along')
    .action(make);
}

async function make(options: MakeOptions): Promise<void> {
  const inputs = options.feed.map(parseInput);
  if (inputs.length === 0 && !options.extract) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      'there is nothing to make knowledge from',
      'Give --feed ID=FILE, or leave --no-extract away.',
    );
  }
  const files = await makeKnowledgeFrom(inputs, options.extract);
  if (files.size === 0) {
    throw new Failure(
      exitCodes.inputUnusable,
      'knowledge_empty',
      'these files name no package of any release',
      'Give a file of a feed that names packages, such as debian-osv, alpine-secdb or almalinux-osv.',
    );
  }
  const folder = resolve(options.out);
  try {
    mkdirSync(folder, { recursive: true });
    for (const [name, bytes] of files) {
      writeFileSync(join(folder, name), bytes);
      print(join(folder, name));
    }
  } catch (error) {
    if (codeOf(error) === '') throw error;
    throw new Failure(
      exitCodes.usage,
      'folder_not_writable',
      `${folder} cannot be written to (${codeOf(error)})`,
      'Give --out a folder that this account may write to.',
    );
  }
}

function parseInput(text: string): FeedInput {
  const equals = text.indexOf('=');
  const id = text.slice(0, Math.max(0, equals));
  const feed = knownFeeds().find((known) => known === id);
  const path = text.slice(equals + 1);
  if (feed !== undefined && path !== '') return { feed, path };
  throw new Failure(
    exitCodes.usage,
    'usage',
    `--feed ${JSON.stringify(text)} is no feed and file`,
    `Write ID=FILE with one of: ${knownFeeds().join(', ')}.`,
  );
}
