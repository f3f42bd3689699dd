import type { Command } from 'commander';
import {
  SearchResult,
  type CellValue,
  type SearchColumn,
  type SearchRow,
} from '@fixpoint/contract/search.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { forList, serverOf, wholeNumber, type ListOptions } from '../list.ts';
import { csvLine } from '../output/csv.ts';
import { pointAt } from '../output/place.ts';
import { note, print, printJson } from '../output/stream.ts';
import { table, type Column } from '../output/table.ts';
import { relative } from '../output/time.ts';

const nouns: readonly (readonly [noun: string, subject: Subject, example: string])[] = [
  ['assets', 'asset', "'os = debian and has finding (exploited and cvss >= 9)'"],
  ['findings', 'finding', "'exploited and asset.criticality >= 4 and due < 7d'"],
  ['vulnerabilities', 'vulnerability', "'exploited and affected_assets > 0'"],
  ['patches', 'patch', "'package = openssl'"],
];

interface SearchOptions extends ListOptions {
  readonly columns?: string;
  readonly sort?: string;
  readonly csv?: boolean;
}

export function register(noun: Command): void {
  for (const [name, subject, example] of nouns) {
    forList(noun.command(name).description(`${name} that a query finds, such as ${example}`))
      .argument('[query...]', 'without one, all; see fixpoint query fields')
      .option('--columns <names>', 'what to show, separated by commas')
      .option('--sort <names>', 'in what order: -risk,hostname; the minus is for descending')
      .option('--csv', 'as comma-separated values')
      .action(async (words: string[], options: SearchOptions) => {
        await search(subject, words.join(' '), options);
      });
  }
}

async function search(subject: Subject, query: string, options: SearchOptions): Promise<void> {
  if (options.csv === true && options.json === true) {
    throw new Failure(exitCodes.usage, 'usage', '--csv and --json exclude each other', 'Give one of them.');
  }
  const to = serverOf(options);
  const wanted = options.all === true ? Infinity : wholeNumber(options.limit ?? '100', '--limit');
  const { columns, sort } = options;
  const rows: SearchRow[] = [];
  let after: string | undefined;
  for (;;) {
    const page: SearchResult = await ask(to, `/api/v1/search/${subject}`, SearchResult, {
      query: { query, columns, sort, limit: Math.min(wanted, 1000), after },
    });
    if (options.csv === true) {
      const names = page.columns.map(({ name }) => name);
      const lines = page.items
        .slice(0, wanted - rows.length)
        .map(({ values }) => csvLine(names.map((name) => values[name] ?? null)));
      const text = [...(after === undefined ? [csvLine(names)] : []), ...lines].join('');
      if (text !== '') print(text);
    }
    rows.push(...page.items);
    after = page.next ?? undefined;
    if (after !== undefined && rows.length < wanted) continue;
    if (options.csv !== true) printResult(query, page, rows.slice(0, wanted), options);
    return;
  }
}

function printResult(
  query: string,
  page: SearchResult,
  rows: readonly SearchRow[],
  options: SearchOptions,
): void {
  if (options.json === true) {
    printJson(rows);
    return;
  }
  if (rows.length === 0) print(`Nothing. ${page.words}`);
  else print(table(page.columns.map(shownColumn), rows));
  for (const one of page.notes) note(`note: ${one.message}\n${pointAt(query, one)}`);
  if (rows.length > 0 && rows.length < page.total) {
    note(`note: ${String(rows.length)} of ${String(page.total)} shown; --limit or --all shows more`);
  }
}

/** The first column is never narrowed; of the others the last gives up width first. */
export function shownColumn(column: SearchColumn, at: number): Column<SearchRow> {
  const { name, title, type } = column;
  return {
    title: title.toUpperCase(),
    of: ({ values }) => cellText(values[name] ?? null, column),
    ...(type === 'number' ? { align: 'right' as const } : {}),
    yields: at,
    least: Math.min(10, title.length),
  };
}

function cellText(value: CellValue, { type, decimals, name }: SearchColumn): string {
  if (value === null) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return name === 'epss' ? value.toFixed(3) : value.toFixed(decimals ?? 0);
  if (typeof value !== 'string') return value.length === 0 ? '-' : value.join(', ');
  return type === 'date' ? relative(value) : value;
}
