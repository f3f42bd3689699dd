import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import type { Command } from 'commander';
import {
  exportFileName,
  exportFormats,
  Report,
  ReportCounts,
  ReportTemplates,
  type ExportFormat,
  type ReportSort,
  type ReportTemplate,
} from '@fixpoint/contract/report.ts';
import { SearchResult, type SearchRow } from '@fixpoint/contract/search.ts';
import { subjects, type Subject } from '@fixpoint/core/query/fields.ts';
import { now } from '../clock.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask, stream } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  wholeNumber,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { codeOf, note, print, printJson, writeAll } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';
import { shownColumn } from './search.ts';

const columns: readonly Column<Report>[] = [
  { title: 'NAME', of: (r) => r.name },
  { title: 'ITEMS', of: (r) => String(r.last_count?.items ?? '-'), align: 'right' },
  { title: 'OF', of: (r) => r.subject },
  { title: 'QUERY', of: (r) => r.query, yields: 3, least: 16 },
  { title: 'OWNER', of: (r) => `${r.owner}${r.shared ? ' (shared)' : ''}`, yields: 1, least: 10 },
  { title: 'CHANGED', of: (r) => relative(r.updated_at), yields: 2, least: 10 },
  { title: 'ID', of: (r) => r.id, yields: 4, least: 36 },
];

interface Parts extends ServerOptions {
  readonly subject?: string;
  readonly template?: string;
  readonly name?: string;
  readonly query?: string;
  readonly description?: string;
  readonly columns?: string;
  readonly sort?: string;
  readonly share?: boolean;
}

export function register(noun: Command): void {
  forList(noun.command('list').description('your reports and those that are shared'))
    .option('--mine', 'only your own')
    .option('--subject <subject>', subjects.join(', '))
    .action(async (options: ListOptions & { mine?: boolean; subject?: string }) => {
      const query = { mine: options.mine, subject: options.subject };
      const list = await fetchList(serverOf(options), '/api/v1/reports', Report, query, options);
      printList(list, columns, options, 'No report. fixpoint report templates shows what to begin with.');
    });
  forServer(noun.command('show').description('a report, without its items').argument('<report>')).action(
    async (reference: string, options: ServerOptions) => {
      const report = await find(serverOf(options), reference);
      if (options.json === true) printJson(report);
      else show(report);
    },
  );
  forServer(noun.command('templates').description('reports to begin with')).action(
    async (options: ServerOptions) => {
      const { items } = await ask(serverOf(options), '/api/v1/report-templates', ReportTemplates);
      if (options.json === true) printJson(items);
      else
        for (const one of items)
          print(`${one.id}\n  ${one.name}: ${one.description}\n  ${one.subject}: ${one.query}\n`);
    },
  );
  withParts(forServer(noun.command('create').description('save a query as a report')))
    .argument('<name>')
    .argument('[query...]')
    .option('--subject <subject>', `${subjects.join(', ')} (default: finding)`)
    .option('--template <id>', 'what to begin with: fixpoint report templates')
    .option('--share', 'let others see it')
    .action(create);
  withParts(forServer(noun.command('change').description('change a report')))
    .argument('<report>')
    .option('--name <name>', 'what it is called from now on')
    .option('--query <query>', 'what it finds from now on')
    .option('--share', 'let others see it')
    .option('--no-share', 'let others see it no more')
    .action(change);
  forServer(noun.command('copy').description('a report of your own, like another one').argument('<report>'))
    .option('--name <name>', 'what the copy is called')
    .action(async (reference: string, options: ServerOptions & { name?: string }) => {
      const to = serverOf(options);
      const { id } = await find(to, reference);
      const json = options.name === undefined ? {} : { name: options.name };
      done(await ask(to, `/api/v1/reports/${id}/copy`, Report, { method: 'POST', json }), 'Created', options);
    });
  forServer(noun.command('archive').description('a report that nothing uses').argument('<report>')).action(
    async (reference: string, options: ServerOptions) => {
      const to = serverOf(options);
      const { id, version } = await find(to, reference);
      const call = { method: 'DELETE', query: { version } } as const;
      done(await ask(to, `/api/v1/reports/${id}`, Report, call), 'Archived', options);
    },
  );
  forList(noun.command('run').description('what a report finds now').argument('<report>')).action(run);
  forServer(noun.command('counts').description('what a report came to over time').argument('<report>'))
    .option('--from <time>', 'such as 2026-11-01T00:00:00Z (default: 30 days before)')
    .option('--to <time>', 'default: now')
    .action(counts);
  forServer(
    noun.command('export').description('what a report finds now, as a file').argument('<report>'),
    false,
  )
    .option('--format <format>', `${exportFormats.join(', ')} (default: by the file’s name, else csv)`)
    .option('--output <file>', 'default: named like the report; - is standard output')
    .option('--force', 'write over a file that is there')
    .action(exportReport);
}

function withParts(command: Command): Command {
  return command
    .option('--description <text>', 'what it is for')
    .option('--columns <names>', 'what to show, separated by commas: fixpoint query fields')
    .option('--sort <names>', 'in what order: -risk,hostname; the minus is for descending');
}

/** A report by its id, or by its name when there is one of that name. */
async function find(to: Connection, reference: string): Promise<Report> {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iu.test(reference))
    return await ask(to, `/api/v1/reports/${reference}`, Report);
  const { items } = await fetchList(to, '/api/v1/reports', Report, {}, { all: true });
  const called = items.filter((one) => one.name.toLowerCase() === reference.toLowerCase());
  const [only] = called;
  if (only !== undefined && called.length === 1) return only;
  throw new Failure(
    exitCodes.refused,
    only === undefined ? 'report_unknown' : 'report_ambiguous',
    only === undefined
      ? `there is no report ${JSON.stringify(reference)} that you see`
      : `${String(called.length)} reports are called ${JSON.stringify(reference)}`,
    only === undefined
      ? 'See fixpoint report list.'
      : `Give the id of one: ${called.map((one) => `${one.id} (${one.owner})`).join(', ')}.`,
  );
}

function show(report: Report): void {
  const { last_count: count } = report;
  const pairs: [string, string | null][] = [
    ['name', report.name],
    ['id', report.id],
    ['description', report.description === '' ? null : report.description],
    ['query', `${report.subject}: ${report.query === '' ? '(everything)' : report.query}`],
    ['means', report.explanation ?? 'cannot be read by this version of the server'],
    ['columns', report.columns.join(', ')],
    ['sort', report.sort.map(({ by, descending }) => `${descending ? '-' : ''}${by}`).join(',')],
    ['owner', `${report.owner}${report.shared ? ', shared' : ''}`],
    [
      'changed',
      `${absolute(report.updated_at) ?? ''} by ${report.updated_by}, version ${String(report.version)}`,
    ],
    ['archived', absolute(report.archived_at)],
    [
      'last count',
      count === null
        ? null
        : `${String(count.items)} items on ${String(count.assets)} assets, ${absolute(count.at) ?? ''}`,
    ],
  ];
  print(facts(pairs));
}

function done(report: Report, verb: string, options: ServerOptions): void {
  if (options.json === true) printJson(report);
  else print(`${verb} the report ${report.name} (${report.id}).`);
}

async function create(name: string, words: string[], options: Parts): Promise<void> {
  const to = serverOf(options);
  const template = options.template === undefined ? null : await templateCalled(to, options.template);
  if (template !== null && (words.length > 0 || options.subject !== undefined)) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      'a template has its query and subject already',
      'Give --template, or a query; fixpoint report change changes it afterwards.',
    );
  }
  const json = {
    ...(template === null
      ? { subject: subjectOf(options.subject ?? 'finding'), query: words.join(' ') }
      : { subject: template.subject, query: template.query, description: template.description }),
    ...(template === null ? {} : { columns: template.columns, sort: template.sort }),
    ...partsOf(options),
    name,
    shared: options.share ?? false,
  };
  done(await ask(to, '/api/v1/reports', Report, { method: 'POST', json }), 'Created', options);
}

async function templateCalled(to: Connection, id: string): Promise<ReportTemplate> {
  const { items } = await ask(to, '/api/v1/report-templates', ReportTemplates);
  const found = items.find((one) => one.id === id);
  if (found !== undefined) return found;
  throw new Failure(
    exitCodes.usage,
    'template_unknown',
    `there is no template ${JSON.stringify(id)}`,
    `Give one of: ${items.map((one) => one.id).join(', ')}.`,
  );
}

function subjectOf(text: string): Subject {
  const subject = subjects.find((one) => one === text);
  if (subject !== undefined) return subject;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `--subject is ${JSON.stringify(text)}`,
    `Give one of: ${subjects.join(', ')}.`,
  );
}

function partsOf({ name, query, description, columns: shown, sort }: Parts) {
  return {
    ...(name === undefined ? {} : { name }),
    ...(query === undefined ? {} : { query }),
    ...(description === undefined ? {} : { description }),
    ...(shown === undefined ? {} : { columns: listed(shown) }),
    ...(sort === undefined ? {} : { sort: listed(sort).map(sortOf) }),
  };
}

const listed = (text: string): string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
const sortOf = (text: string): ReportSort => ({
  by: text.replace(/^-/, ''),
  descending: text.startsWith('-'),
});

async function change(reference: string, options: Parts): Promise<void> {
  const to = serverOf(options);
  const { id, version } = await find(to, reference);
  const json = {
    version,
    ...partsOf(options),
    ...(options.share === undefined ? {} : { shared: options.share }),
  };
  if (Object.keys(json).length === 1) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      'nothing is to be changed',
      'See fixpoint report change --help.',
    );
  }
  done(await ask(to, `/api/v1/reports/${id}`, Report, { method: 'PATCH', json }), 'Changed', options);
}

async function run(reference: string, options: ListOptions): Promise<void> {
  const to = serverOf(options);
  const { id, name } = await find(to, reference);
  const wanted = options.all === true ? Infinity : wholeNumber(options.limit ?? '100', '--limit');
  const rows: SearchRow[] = [];
  let after: string | undefined;
  for (;;) {
    const query = { limit: Math.min(wanted - rows.length, 1000), after };
    const page: SearchResult = await ask(to, `/api/v1/reports/${id}/items`, SearchResult, { query });
    rows.push(...page.items);
    if (page.next !== null && rows.length < wanted) {
      after = page.next;
      continue;
    }
    if (options.json === true) printJson(rows);
    else if (rows.length === 0) print(`Nothing in ${name}. ${page.words}`);
    else print(table(page.columns.map(shownColumn), rows));
    if (options.json !== true && rows.length < page.total)
      note(`note: ${String(rows.length)} of ${String(page.total)} shown; --limit or --all shows more`);
    return;
  }
}

async function counts(
  reference: string,
  options: ServerOptions & { from?: string; to?: string },
): Promise<void> {
  const to = serverOf(options);
  const { id } = await find(to, reference);
  const query = { from: options.from, to: options.to };
  const result = await ask(to, `/api/v1/reports/${id}/counts`, ReportCounts, { query });
  if (options.json === true) printJson(result);
  else if (result.items.length === 0) print('Not counted in that time. Reports are counted once an hour.');
  else {
    const shown: readonly Column<ReportCounts['items'][number]>[] = [
      { title: 'AT', of: (c) => `${c.at.slice(0, 16).replace('T', ' ')} UTC` },
      { title: 'ITEMS', of: (c) => String(c.items), align: 'right' },
      { title: 'ASSETS', of: (c) => String(c.assets), align: 'right' },
      { title: 'RISK', of: (c) => c.risk?.toFixed(0) ?? '-', align: 'right' },
      { title: '', of: (c) => (c.at < result.query_since.slice(0, 13) ? 'by an earlier query' : '') },
    ];
    print(table(shown, result.items));
  }
}

async function exportReport(
  reference: string,
  options: ServerOptions & { format?: string; output?: string; force?: boolean },
): Promise<void> {
  const format = formatOf(options.format ?? /\.(\w+)$/.exec(options.output ?? '')?.[1] ?? 'csv');
  const to = serverOf(options);
  const { id, name } = await find(to, reference);
  const file = options.output ?? exportFileName(name, now(), format);
  if (file !== '-' && options.force !== true && existsSync(file)) {
    throw new Failure(
      exitCodes.usage,
      'file_exists',
      `${file} is there already`,
      'Give another name with --output, or --force to write over it.',
    );
  }
  const bytes = await stream(to, `/api/v1/reports/${id}/export`, {
    query: { format },
    timeoutSeconds: 3600,
  });
  if (file === '-') {
    for await (const chunk of bytes) if (!writeAll(1, chunk)) return;
    return;
  }
  await save(bytes, file);
  print(`Wrote ${file}.`);
}

function formatOf(text: string): ExportFormat {
  const format = exportFormats.find((one) => one === text.toLowerCase());
  if (format !== undefined) return format;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${JSON.stringify(text)} is no format of an export`,
    `Give --format with one of: ${exportFormats.join(', ')}.`,
  );
}

/** Under another name until all of it is there, so that half of an export is not taken for one. */
async function save(bytes: ReadableStream<Uint8Array>, file: string): Promise<void> {
  const apart = `${file}.${String(process.pid)}.part`;
  let descriptor: number;
  try {
    descriptor = openSync(apart, 'wx', 0o600);
  } catch (error) {
    throw new Failure(
      exitCodes.usage,
      'file_unwritable',
      `${file} cannot be written (${codeOf(error)})`,
      'Name a file in a folder that is there and that you may write to.',
    );
  }
  try {
    for await (const chunk of bytes) writeAll(descriptor, chunk);
    closeSync(descriptor);
    renameSync(apart, file);
  } catch (error) {
    rmSync(apart, { force: true });
    throw error instanceof Failure || codeOf(error) === 'ENOSPC'
      ? error
      : new Failure(
          exitCodes.unreachable,
          'export_incomplete',
          'the export broke off before its end',
          'Export it again; the log of the server says why if it repeats.',
        );
  }
}
