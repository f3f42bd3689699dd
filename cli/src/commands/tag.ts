import type { Command } from 'commander';
import { Tag } from '@fixpoint/contract/tag.ts';
import { ask, tell } from '../http-client.ts';
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
import type { Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<Tag>[] = [
  { title: 'TAG', of: (t) => t.name },
  { title: 'ASSETS', of: (t) => String(t.assets), align: 'right' },
  { title: 'DESCRIPTION', of: (t) => t.description, yields: 3, least: 12 },
  { title: 'CREATED BY', of: (t) => t.created_by, yields: 1, least: 8 },
  { title: 'CREATED', of: (t) => relative(t.created_at), yields: 2, least: 10 },
];

export function register(noun: Command): void {
  forList(noun.command('list').description('tags with the number of their assets')).action(
    async (options: ListOptions) => {
      printList(
        await fetchList(serverOf(options), '/api/v1/tags', Tag, {}, options),
        columns,
        options,
        'No tag. fixpoint tag create NAME makes one.',
      );
    },
  );
  forServer(noun.command('create').description('an empty tag').argument('<name>'))
    .option('--description <text>', 'what the assets have in common')
    .action(async (name: string, options: ServerOptions & { description?: string }) => {
      const description = options.description === undefined ? {} : { description: options.description };
      const tag = await ask(serverOf(options), '/api/v1/tags', Tag, {
        method: 'POST',
        json: { name, ...description },
      });
      if (options.json === true) printJson(tag);
      else print(`Created the tag ${tag.name}. fixpoint tag add ${tag.name} HOST… fills it.`);
    });
  forServer(noun.command('delete').description('a tag; its assets stay').argument('<name>'), false).action(
    async (name: string, options: ServerOptions) => {
      await tell(serverOf(options), `/api/v1/tags/${encodeURIComponent(name)}`, { method: 'DELETE' });
      print(`Deleted the tag ${name}.`);
    },
  );
  members(noun, 'add', 'PUT', 'put assets into a tag', 'are now in');
  members(noun, 'remove', 'DELETE', 'take assets out of a tag', 'are no longer in');
}

function members(
  noun: Command,
  verb: string,
  method: 'PUT' | 'DELETE',
  summary: string,
  words: string,
): void {
  forServer(noun.command(verb).description(summary), false)
    .argument('<tag>')
    .argument('<assets...>', 'ids, or hostnames when unique')
    .action(async (tag: string, assets: string[], options: ServerOptions) => {
      await tell(serverOf(options), `/api/v1/tags/${encodeURIComponent(tag)}/assets`, {
        method,
        json: { assets },
      });
      print(`${assets.join(', ')} ${assets.length === 1 ? words.replace('are', 'is') : words} ${tag}.`);
    });
}
