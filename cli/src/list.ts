import type { Command } from 'commander';
import { Type, type Static, type TSchema } from 'typebox';
import { List } from '@fixpoint/contract/list.ts';
import { connection, type Connection } from './connection.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { ask, type Query } from './http-client.ts';
import { note, print, printJson } from './output/stream.ts';
import { table, type Column } from './output/table.ts';

/** Options that every command takes which speaks to a server. */
export interface ServerOptions {
  readonly server?: string;
  readonly token?: string;
  readonly json?: boolean;
}

/** Adds `--server`, `--token` and, where there is something to print, `--json`. */
export function forServer(command: Command, json = true): Command {
  command
    .option(
      '--server <url>',
      'the server (also FIXPOINT_SERVER; default: the stored login, else this machine)',
    )
    .option('--token <token>', 'token of a tool (also FIXPOINT_TOKEN)');
  return json ? command.option('--json', 'print what the API answers, as JSON') : command;
}

export function serverOf(options: ServerOptions): Connection {
  return connection({ server: options.server, token: options.token });
}

export interface ListOptions extends ServerOptions {
  readonly limit?: string;
  readonly all?: boolean;
}

/** Adds the options of a list: those of {@link forServer}, `--limit` and `--all`. */
export function forList(command: Command): Command {
  return forServer(command)
    .option('--limit <n>', 'at most so many', '100')
    .option('--all', 'all of them, page by page');
}

/** Pages of one list, as many as were asked for. */
export async function fetchList<Item extends TSchema>(
  to: Connection,
  path: string,
  item: Item,
  query: Query,
  options: ListOptions,
): Promise<{ items: Static<Item>[]; total: number }> {
  const wanted = options.all === true ? Infinity : wholeNumber(options.limit ?? '100', '--limit');
  const pageSize = Math.min(wanted, 1000);
  const schema = List(item);
  const items: Static<Item>[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await ask(to, path, schema, { query: { ...query, limit: pageSize, after } });
    items.push(...page.items);
    if (page.next === null || items.length >= wanted)
      return { items: items.slice(0, wanted), total: page.total };
    after = page.next;
  }
}

/** A list that the API always answers whole. */
export async function fetchItems<Item extends TSchema>(
  to: Connection,
  path: string,
  item: Item,
): Promise<{ items: Static<Item>[]; total: number }> {
  const { items } = await ask(to, path, Type.Object({ items: Type.Array(item) }));
  return { items, total: items.length };
}

/** Prints a list as JSON or as a table, and says when it is not all. */
export function printList<Row>(
  list: { readonly items: readonly Row[]; readonly total: number },
  columns: readonly Column<Row>[],
  options: ListOptions,
  whenEmpty: string,
): void {
  if (options.json === true) {
    printJson(list.items);
    return;
  }
  if (list.items.length === 0) {
    print(whenEmpty);
    return;
  }
  print(table(columns, list.items));
  if (list.items.length < list.total) {
    note(`note: ${String(list.items.length)} of ${String(list.total)} shown; --limit or --all shows more`);
  }
}

/** A whole number from 1 on, out of an option. */
export function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (/^[0-9]+$/u.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${option} is ${JSON.stringify(text)}`,
    `Give ${option} a whole number from 1 on.`,
  );
}
