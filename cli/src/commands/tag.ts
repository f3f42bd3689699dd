import { Option, type Command } from 'commander';
import {
  Tag,
  TagDetail,
  TagPreview,
  TagWhy,
  type Moving,
  type TagChangeRequest,
  type TagRequest,
} from '@fixpoint/contract/tag.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
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
import { note, print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const columns: readonly Column<Tag>[] = [
  { title: 'TAG', of: (t) => t.name },
  { title: 'BY', of: (t) => t.kind },
  { title: 'ASSETS', of: (t) => String(t.assets), align: 'right' },
  { title: 'NOT KNOWN', of: (t) => (t.unknown === 0 ? '' : String(t.unknown)), align: 'right' },
  { title: 'IN', of: (t) => t.parent ?? '', yields: 4, least: 4 },
  { title: 'RULE', of: ruleOf, yields: 1, least: 16 },
  { title: 'DESCRIPTION', of: (t) => t.description, yields: 2, least: 12 },
  { title: 'CHANGED', of: (t) => relative(t.updated_at), yields: 3, least: 8 },
];

function ruleOf({ rule, ranges }: Tag): string {
  return rule ?? ranges?.join(', ') ?? '';
}

interface DefinitionOptions extends ServerOptions {
  readonly description?: string;
  readonly parent?: string | false;
  readonly rule?: string;
  readonly range?: string[];
  readonly asset?: string[];
  readonly name?: string;
  readonly preview?: boolean;
}

const each = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

function forDefinition(command: Command): Command {
  return forServer(command)
    .option('--description <text>', 'what the assets have in common')
    .addOption(
      new Option('--rule <query>', "who is in it, such as 'hostname = web-* and os = debian'").conflicts(
        'range',
      ),
    )
    .option('--range <range>', 'addresses: 10.0.0.0/8, 10.0.0.1-10.0.0.9; may be given again', each)
    .option('--parent <tag>', 'nest it in this tag: whoever is in it is in that one too')
    .option('--preview', 'only show who would enter and leave');
}

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
  forServer(
    noun
      .command('show')
      .description('one tag: what it is, what it needs and who needs it')
      .argument('<name>'),
  ).action(async (name: string, options: ServerOptions) => {
    const detail = await ask(serverOf(options), pathOf(name), TagDetail);
    if (options.json === true) printJson(detail);
    else print(describe(detail));
  });
  forDefinition(
    noun.command('create').description('a tag by rule, by range, or as a list').argument('<name>'),
  )
    .option('--asset <asset>', 'in the list: id, or hostname when unique; may be given again', each)
    .action(async (name: string, options: DefinitionOptions) => {
      const definition = definitionOf(options);
      if (options.preview === true) return await preview(name, definition, options);
      const json: TagRequest = { name, ...definition };
      const tag = await ask(serverOf(options), '/api/v1/tags', Tag, { method: 'POST', json });
      if (options.json === true) return printJson(tag);
      const isEmptyList = tag.kind === 'list' && tag.assets === 0;
      const more = isEmptyList ? ` fixpoint tag add ${tag.name} HOST… fills it.` : counted(tag);
      print(`Created the tag ${tag.name}.${more}`);
    });
  forDefinition(
    noun.command('change').description('what a tag is; what is not given stays').argument('<name>'),
  )
    .option('--no-parent', 'nest it in no tag any more')
    .option('--name <name>', 'another name')
    .action(async (name: string, options: DefinitionOptions) => {
      const definition = definitionOf(options);
      const renamed = options.name === undefined ? {} : { name: options.name };
      const json: TagChangeRequest = { ...definition, ...renamed };
      if (Object.keys(json).length === 0)
        throw new Failure(
          exitCodes.usage,
          'usage',
          'nothing is to be changed',
          'Give --rule, --range, --description, --parent, --no-parent or --name.',
        );
      if (options.preview === true) return await preview(name, definition, options);
      const tag = await ask(serverOf(options), pathOf(name), Tag, { method: 'PATCH', json });
      if (options.json === true) printJson(tag);
      else print(`Changed the tag ${tag.name}.${counted(tag)}`);
    });
  forServer(
    noun.command('delete').description('a tag that nothing names; its assets stay').argument('<name>'),
  )
    .option('--preview', 'only show who would leave')
    .action(async (name: string, options: ServerOptions & { preview?: boolean }) => {
      if (options.preview === true) return await preview(name, null, options);
      await tell(serverOf(options), pathOf(name), { method: 'DELETE' });
      print(`Deleted the tag ${name}.`);
    });
  members(noun, 'add', 'PUT', 'put assets into a list', 'are now in');
  members(noun, 'remove', 'DELETE', 'take assets out of a list', 'are no longer in');
  forServer(
    noun
      .command('why')
      .description('why an asset is in a tag, or is not')
      .argument('<tag>')
      .argument('<asset>', 'id, or hostname when unique'),
  ).action(async (tag: string, asset: string, options: ServerOptions) => {
    const why = await ask(serverOf(options), `${pathOf(tag)}/why`, TagWhy, { query: { asset } });
    if (options.json === true) printJson(why);
    else print(`${why.asset.hostname}: ${why.sentence}`);
  });
}

const pathOf = (name: string): string => `/api/v1/tags/${encodeURIComponent(name)}`;

function definitionOf(options: DefinitionOptions): Omit<TagRequest, 'name'> {
  const { description, parent, rule, range, asset } = options;
  return {
    ...(description === undefined ? {} : { description }),
    ...(parent === undefined ? {} : { parent: parent === false ? null : parent }),
    ...(rule === undefined ? {} : { rule }),
    ...(range === undefined ? {} : { ranges: range }),
    ...(asset === undefined ? {} : { assets: asset }),
  };
}

function counted({ assets, unknown }: Tag): string {
  const more = unknown === 0 ? '' : `; of ${String(unknown)} it cannot be said`;
  return ` ${String(assets)} ${assets === 1 ? 'asset is' : 'assets are'} in it${more}.`;
}

function describe({
  tag,
  words,
  nested,
  asks_for: asksFor,
  needed_by: neededBy,
  ...rest
}: TagDetail): string {
  const lines = facts([
    ['tag', tag.name],
    ['description', tag.description === '' ? null : tag.description],
    ['by', tag.kind],
    [tag.kind === 'ranges' ? 'ranges' : 'rule', ruleOf(tag) === '' ? null : ruleOf(tag)],
    ['means', words],
    ['assets', String(tag.assets)],
    ['not known', tag.unknown === 0 ? null : String(tag.unknown)],
    ['nested in', tag.parent],
    ['nested in it', nested.length === 0 ? null : nested.join(', ')],
    ['asks for', asksFor.length === 0 ? null : asksFor.join(', ')],
    ['depends on', rest.depends_because === null ? rest.depends_on : `findings: ${rest.depends_because}`],
    ['named by', neededBy.map(({ kind, name }) => `${kind.replaceAll('_', ' ')} ${name}`).join(', ') || null],
    ['created', `${relative(tag.created_at)} by ${tag.created_by}`],
    ['changed', relative(tag.updated_at)],
  ]);
  const unknown = rest.unknown_assets.map(({ hostname }) => hostname);
  if (unknown.length === 0) return lines;
  const more = tag.unknown > unknown.length ? `, and ${String(tag.unknown - unknown.length)} more` : '';
  return `${lines}\nof these it cannot be said, as a fact is not known: ${unknown.join(', ')}${more}`;
}

type Previewed = TagPreview['tags'][number];
const moving = ({ total, assets }: Moving): string => {
  const names = assets.slice(0, 5).map(({ hostname }) => hostname);
  const shown = total === 0 ? '' : `: ${names.join(', ')}${total > names.length ? ', …' : ''}`;
  return `${String(total)}${shown}`;
};
const previewColumns: readonly Column<Previewed>[] = [
  { title: 'TAG', of: (t) => t.tag },
  { title: 'ASSETS THEN', of: (t) => String(t.assets), align: 'right' },
  { title: 'ENTER', of: (t) => moving(t.enter), yields: 1, least: 16 },
  { title: 'LEAVE', of: (t) => moving(t.leave), yields: 1, least: 16 },
  { title: 'NOT KNOWN THEN', of: (t) => (t.unknown === 0 ? '' : String(t.unknown)), align: 'right' },
];

/** `definition` null: deleting the tag. */
async function preview(
  tag: string,
  definition: Omit<TagRequest, 'name'> | null,
  options: ServerOptions,
): Promise<void> {
  const json = { tag, definition };
  const result = await ask(serverOf(options), '/api/v1/tags/preview', TagPreview, { method: 'POST', json });
  if (options.json === true) return printJson(result);
  print(table(previewColumns, result.tags));
  const { raised, lowered } = result.criticality;
  if (raised.total > 0) print(`More critical by rules that ask for these tags: ${moving(raised)}`);
  if (lowered.total > 0) print(`Less critical by rules that ask for these tags: ${moving(lowered)}`);
  for (const { message } of result.notes) note(`note: ${message}`);
  note('note: nothing has been changed; leave --preview away to do it');
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
      await tell(serverOf(options), `${pathOf(tag)}/assets`, { method, json: { assets } });
      print(`${assets.join(', ')} ${assets.length === 1 ? words.replace('are', 'is') : words} ${tag}.`);
    });
}
