import type { Command } from 'commander';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  Calendar,
  CalendarDetail,
  type CalendarEntryRequest,
  type CalendarEventView,
  type CalendarReplacement,
} from '@fixpoint/contract/calendar.ts';
import { isZone, momentOfText } from '@fixpoint/core/window/zone.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask, stream, tell } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { inZone, ownZone } from '../output/local-time.ts';
import { codeOf, print, printJson, writeAll } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';

const path = '/api/v1/calendars';
const pathOf = (name: string) => `${path}/${encodeURIComponent(name)}`;

const heededBy = (calendar: Calendar) => (calendar.everywhere ? 'every job' : 'jobs that name it');
const columns: readonly Column<Calendar>[] = [
  { title: 'NAME', of: (c) => c.name },
  { title: 'HEEDED BY', of: heededBy, yields: 3, least: 9 },
  { title: 'EVENTS', of: (c) => String(c.events), align: 'right', yields: 4, least: 6 },
  { title: 'NEXT', of: (c) => nextWords(c.next), yields: 1, least: 20 },
  { title: 'CHANGED', of: (c) => relative(c.changed_at), yields: 2, least: 10 },
];

function nextWords(next: CalendarEventView | null): string {
  if (next === null) return 'nothing within 400 days';
  return `${relative(next.from)}${next.title === '' ? '' : `: ${next.title}`}`;
}

interface WriteOptions extends ServerOptions {
  readonly everywhere?: boolean;
  readonly named?: boolean;
  readonly zone?: string;
  readonly description?: string;
  readonly replace?: boolean;
}

const collect = (value: string, before: string[] = []): string[] => [...before, value];

export function register(noun: Command): void {
  forList(noun.command('list').description('times in which nothing is done, newest first')).action(
    async (options: ListOptions) => {
      const list = await fetchList(serverOf(options), path, Calendar, {}, options);
      printList(list, columns, options, 'No calendar. fixpoint calendar import takes a file of iCalendar.');
    },
  );

  forServer(noun.command('show').description('one calendar and its next events'))
    .argument('<name>')
    .action(async (name: string, options: ServerOptions) => {
      show(await ask(serverOf(options), pathOf(name), CalendarDetail), options);
    });

  forWriting(noun.command('import').description('a calendar of a file of iCalendar (.ics)'))
    .argument('<file>', 'as Google Calendar, Outlook, Apple Calendar and others export it; - for stdin')
    .option('--name <name>', 'default: the name of the file')
    .action(async (file: string, options: WriteOptions & { name?: string }) => {
      const name = options.name ?? basename(file).replace(/\.ics$/iu, '');
      await write(name, { ics: readText(file) }, options);
    });

  forWriting(noun.command('add').description('a calendar of single times'))
    .argument('<name>')
    .requiredOption(
      '--entry <entry>',
      'FROM..UNTIL=TITLE, such as 2026-12-20..2027-01-04T06:00=freeze; local in --zone, else here; may be repeated',
      collect,
    )
    .action(async (name: string, options: WriteOptions & { entry: string[] }) => {
      const zone = options.zone ?? ownZone();
      await write(name, { entries: options.entry.map((entry) => readEntry(entry, zone)) }, options);
    });

  forServer(noun.command('delete').description('a calendar that no job heeds any more'), false)
    .argument('<name>')
    .action(async (name: string, options: ServerOptions) => {
      await tell(serverOf(options), pathOf(name), { method: 'DELETE' });
      print(`Deleted the calendar ${name}.`);
    });

  forServer(noun.command('export').description('a calendar as a file of iCalendar'), false)
    .argument('<name>')
    .argument('[file]', 'default: stdout')
    .action(async (name: string, file: string | undefined, options: ServerOptions) => {
      const bytes = await new Response(await stream(serverOf(options), `${pathOf(name)}/export.ics`)).bytes();
      if (file === undefined) writeAll(1, bytes);
      else writeText(file, bytes);
    });
}

function forWriting(command: Command): Command {
  return forServer(command)
    .option('--everywhere', 'heeded by every job')
    .option('--named', 'heeded by jobs that name it (default for a new one)')
    .option(
      '--zone <zone>',
      'of events that name none, such as those of whole days; default: what the file says',
    )
    .option('--description <text>')
    .option('--replace', 'replace what a calendar of this name says');
}

async function write(
  name: string,
  content: Pick<CalendarReplacement, 'ics' | 'entries'>,
  options: WriteOptions,
): Promise<void> {
  if (options.everywhere === true && options.named === true) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      '--everywhere and --named are both given',
      'Give one of them.',
    );
  }
  if (options.zone !== undefined && !isZone(options.zone)) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      `${options.zone} is not a time zone`,
      'Give a name such as Europe/Berlin or UTC.',
    );
  }
  const to = serverOf(options);
  const everywhere = await whoHeeds(to, name, options);
  const json = {
    ...content,
    everywhere,
    ...(options.zone === undefined ? {} : { zone: options.zone }),
    ...(options.description === undefined ? {} : { description: options.description }),
  };
  const detail =
    options.replace === true
      ? await ask(to, pathOf(name), CalendarDetail, { method: 'PUT', json })
      : await ask(to, path, CalendarDetail, { method: 'POST', json: { name, ...json } });
  show(detail, options);
}

/** Who replaces a calendar without a word about it leaves it as it is. */
async function whoHeeds(to: Connection, name: string, options: WriteOptions): Promise<boolean> {
  if (options.everywhere === true) return true;
  if (options.named === true || options.replace !== true) return false;
  return (await ask(to, pathOf(name), CalendarDetail)).calendar.everywhere;
}

function show(detail: CalendarDetail, options: ServerOptions): void {
  if (options.json === true) {
    printJson(detail);
    return;
  }
  const { calendar, next_events: events, jobs } = detail;
  const { transparent, cancelled } = calendar.ignored;
  const ignored = [
    ...(transparent > 0 ? [`${String(transparent)} marked as free time`] : []),
    ...(cancelled > 0 ? [`${String(cancelled)} cancelled`] : []),
  ];
  print(
    facts([
      ['calendar', calendar.name],
      ['description', calendar.description === '' ? null : calendar.description],
      ['heeded by', heededBy(calendar)],
      ['zone', calendar.zone],
      [
        'events',
        `${String(calendar.events)}${ignored.length === 0 ? '' : `; not counted: ${ignored.join(', ')}`}`,
      ],
      ['jobs', jobs.length === 0 ? 'none' : jobs.map((job) => job.name).join(', ')],
      ['created', `${absolute(calendar.created_at) ?? ''} by ${calendar.created_by}`],
      ['changed', absolute(calendar.changed_at) ?? ''],
    ]),
  );
  if (events.length === 0) {
    print('\nNothing is kept free within 400 days.');
    return;
  }
  const eventColumns: Column<CalendarEventView>[] = [
    { title: `FROM (${calendar.zone})`, of: (one) => inZone(one.from, calendar.zone) },
    { title: 'UNTIL', of: (one) => inZone(one.until, calendar.zone) },
    { title: 'TITLE', of: (one) => one.title, yields: 1, least: 10 },
  ];
  print(`\n${table(eventColumns, events)}`);
}

/** `FROM..UNTIL=TITLE`; times with an offset or Z are as they are, others local. */
function readEntry(text: string, zone: string): CalendarEntryRequest {
  const [, from, until, title = ''] = /^(.+?)\.\.([^=]+)(?:=(.*))?$/u.exec(text) ?? [];
  const [begin, end] = [from, until].map((time) => (time === undefined ? null : momentIn(time.trim(), zone)));
  if (typeof begin !== 'number' || typeof end !== 'number') {
    throw new Failure(
      exitCodes.usage,
      'usage',
      `--entry is ${JSON.stringify(text)}`,
      'Write it as FROM..UNTIL=TITLE with times such as 2026-12-20, 2026-12-20T22:00 or 2026-12-20T22:00Z.',
    );
  }
  return { from: new Date(begin).toISOString(), until: new Date(end).toISOString(), title: title.trim() };
}

function momentIn(text: string, zone: string): number | null {
  if (!/(?:Z|[+-]\d{2}:\d{2})$/u.test(text)) return isZone(zone) ? momentOfText(text, zone) : null;
  const at = /^\d{4}-\d{2}-\d{2}T/u.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at;
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Failure(
      exitCodes.inputUnusable,
      'file_unreadable',
      `${file} could not be read (${codeOf(error)})`,
      'Name a file of iCalendar.',
    );
  }
}

function writeText(file: string, bytes: Uint8Array): void {
  try {
    writeFileSync(file, bytes);
  } catch (error) {
    throw new Failure(
      exitCodes.usage,
      'file_unwritable',
      `${file} could not be written (${codeOf(error)})`,
      'Name a file that can be written.',
    );
  }
}
