import ICAL from 'ical.js';

/** The lines of an iCalendar file (RFC 5545, 3.1), as components with their properties, each with its line in the file. */

export interface Property {
  /** In capitals. */
  readonly name: string;
  readonly line: number;
  /** What stands after the colon, as it is there. */
  readonly raw: string;
  /** By their names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
  /** `date`, `date-time`, `period`, `duration`, `text`, … */
  readonly type: string;
  /** In the notation of jCal (RFC 7265): `2026-01-31T09:00:00`, `+01:00`. A period is its two parts. */
  readonly values: readonly (string | readonly string[])[];
}

export interface Component {
  /** In capitals. */
  readonly name: string;
  readonly line: number;
  readonly properties: readonly Property[];
  readonly components: readonly Component[];
}

/** Something in the file that cannot be read, with its line. */
export class CalendarProblem extends Error {
  readonly line: number | null;
  constructor(line: number | null, message: string) {
    super(message);
    this.line = line;
  }
}

/** What this product reads; all else in a file may be as it is. */
const heeded = new Set([
  'DTSTART',
  'DTEND',
  'DURATION',
  'RRULE',
  'RDATE',
  'EXDATE',
  'EXRULE',
  'RECURRENCE-ID',
  'UID',
  'SUMMARY',
  'STATUS',
  'TRANSP',
  'TZID',
  'TZOFFSETFROM',
  'TZOFFSETTO',
  'X-LIC-LOCATION',
  'X-WR-TIMEZONE',
  'X-WR-CALNAME',
]);
const depthMaximum = 10;

/** The components at the top of a file. Throws CalendarProblem. */
export function readComponents(text: string): Component[] {
  const top: Component[] = [];
  const open: { name: string; line: number; properties: Property[]; components: Component[] }[] = [];
  for (const { line, content } of contentLines(text)) {
    const [, name = '', delimiter = ''] = /^([A-Za-z0-9-]+)([:;])/u.exec(content) ?? [];
    if (name === '') throw new CalendarProblem(line, `not a line of iCalendar: ${shown(content)}`);
    const upper = name.toUpperCase();
    const current = open.at(-1);
    if (upper === 'BEGIN' && delimiter === ':') {
      if (open.length >= depthMaximum)
        throw new CalendarProblem(line, 'components stand too deep in each other');
      const begun = { name: content.slice(6).trim().toUpperCase(), line, properties: [], components: [] };
      (current?.components ?? top).push(begun);
      open.push(begun);
    } else if (upper === 'END' && delimiter === ':') {
      const ended = content.slice(4).trim().toUpperCase();
      if (current?.name !== ended)
        throw new CalendarProblem(line, `END:${shown(ended)} ends nothing that is open here`);
      open.pop();
    } else if (current === undefined) {
      throw new CalendarProblem(line, `outside of BEGIN:VCALENDAR: ${shown(content)}`);
    } else if (heeded.has(upper)) {
      current.properties.push(readProperty(upper, line, content));
    }
  }
  const left = open.at(-1);
  if (left !== undefined)
    throw new CalendarProblem(
      left.line,
      `BEGIN:${shown(left.name)} has no END: the file seems to be cut off`,
    );
  return top;
}

/** Long lines are folded: what begins with a blank goes on. */
function* contentLines(text: string): Generator<{ line: number; content: string }> {
  let begun: { line: number; parts: string[] } | null = null;
  for (const [index, physical] of text
    .replace(/^\uFEFF/u, '')
    .split(/\r?\n/u)
    .entries()) {
    if (/^[ \t]/u.test(physical) && begun !== null) {
      begun.parts.push(physical.slice(1));
      continue;
    }
    if (begun !== null) yield { line: begun.line, content: begun.parts.join('') };
    begun = physical.trim() === '' ? null : { line: index + 1, parts: [physical] };
  }
  if (begun !== null) yield { line: begun.line, content: begun.parts.join('') };
}

function readProperty(name: string, line: number, content: string): Property {
  let read: unknown;
  try {
    read = ICAL.parse.property(content);
  } catch {
    throw new CalendarProblem(line, `${name} cannot be read: ${shown(content)}`);
  }
  if (!Array.isArray(read)) throw new CalendarProblem(line, `${name} cannot be read: ${shown(content)}`);
  const [, parameters, type, ...values] = read as readonly unknown[];
  return {
    name,
    line,
    raw: content.slice(content.indexOf(':') + 1),
    parameters: Object.fromEntries(
      Object.entries(Object(parameters)).map(([key, value]) => [
        key,
        Array.isArray(value) ? String(value[0]) : String(value),
      ]),
    ),
    type: String(type),
    // a rule comes in its parts, and is read from the text instead
    values: values.flatMap((value): (string | readonly string[])[] => {
      if (Array.isArray(value)) return [value.map(String)];
      return typeof value === 'string' ? [value] : [];
    }),
  };
}

export const shown = (text: string): string =>
  JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
