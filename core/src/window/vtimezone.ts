import { Temporal } from 'temporal-polyfill';
import { CalendarProblem, shown, type Component, type Property } from './content-lines.ts';
import { ruleTimes } from './occurrences.ts';
import { readRule } from './rule.ts';
import type { WallClock } from './zone.ts';

/** Clocks of a zone that a calendar brings along (VTIMEZONE), since its name is its maker's own: "W. Europe Standard Time". */

interface Change {
  readonly at: number;
  /** Offsets from UTC: `+01:00`. */
  readonly before: string;
  readonly after: string;
}

/** Changes are worked out up to here; later the last one holds. */
const lastYear = 2100;
const changesMaximum = 5_000;

/** Throws CalendarProblem where the definition cannot be followed. */
export function clockOfComponent(zone: Component): WallClock {
  const changes = zone.components
    .filter((one) => one.name === 'STANDARD' || one.name === 'DAYLIGHT')
    .flatMap(changesOf)
    .sort((a, b) => a.at - b.at);
  const [first] = changes;
  if (first === undefined)
    throw new CalendarProblem(zone.line, 'the VTIMEZONE has neither STANDARD nor DAYLIGHT');
  if (changes.length > changesMaximum)
    throw new CalendarProblem(zone.line, 'the VTIMEZONE changes its clocks too often');
  const offsets = [...new Set([first.before, ...changes.map((one) => one.after)])];
  const offsetAt = (moment: number) => changes.findLast((one) => one.at <= moment)?.after ?? first.before;
  return {
    localAt: (moment) =>
      Temporal.Instant.fromEpochMilliseconds(moment).toZonedDateTimeISO(offsetAt(moment)).toPlainDateTime(),
    momentOf(local) {
      const possible = offsets.map((offset) => ({ offset, at: momentAt(local, offset) }));
      const real = possible.filter((one) => offsetAt(one.at) === one.offset).map((one) => one.at);
      if (real.length > 0) return Math.min(...real);
      // in a gap: by the one offset it lies before the change, by the other after it
      const earliest = Math.min(...possible.map((one) => one.at));
      return changes.find((one) => one.at > earliest)?.at ?? earliest;
    },
  };
}

const momentAt = (local: Temporal.PlainDateTime, offset: string) =>
  local.toZonedDateTime(offset).epochMilliseconds;

function changesOf(observance: Component): Change[] {
  const before = offsetOf(observance, 'TZOFFSETFROM');
  const after = offsetOf(observance, 'TZOFFSETTO');
  const start = single(observance, 'DTSTART');
  const begin = localOf(start, start.values[0]);
  const locals = [begin];
  for (const property of observance.properties) {
    if (property.name === 'RDATE') locals.push(...property.values.map((value) => localOf(property, value)));
    if (property.name === 'RRULE') locals.push(...yearly(property, begin, before));
  }
  const moments = new Set(locals.map((local) => momentAt(local, before)));
  return [...moments].map((at) => ({ at, before, after }));
}

function yearly(property: Property, begin: Temporal.PlainDateTime, offset: string): Temporal.PlainDateTime[] {
  const read = readRule(property.raw);
  if (!read.ok) throw new CalendarProblem(property.line, `RRULE: ${read.message}`);
  const { text, until } = read.rule;
  const parts = new Map(text.split(';').map((part) => [part.split('=')[0], part.split('=')[1]] as const));
  const oncePerYear = !parts.has('BYDAY') || /^[0-9]+$/u.test(parts.get('BYMONTH') ?? '');
  const simple = [...parts.keys()].every((name) =>
    ['FREQ', 'INTERVAL', 'COUNT', 'BYMONTH', 'BYDAY', 'BYMONTHDAY', 'WKST'].includes(name ?? ''),
  );
  if (parts.get('FREQ') !== 'YEARLY' || !oncePerYear || !simple)
    throw new CalendarProblem(property.line, `a zone that changes its clocks by ${shown(property.raw)}`);
  const last = Temporal.PlainDate.from({ year: lastYear, month: 12, day: 31 });
  return ruleTimes(text, begin, begin.toPlainDate(), last).filter((local) => {
    if (until === null) return true;
    return until.kind === 'moment'
      ? momentAt(local, offset) <= until.at
      : Temporal.PlainDateTime.compare(local, until.at) <= 0;
  });
}

function single(component: Component, name: string): Property {
  const found = component.properties.find((property) => property.name === name);
  if (found === undefined) throw new CalendarProblem(component.line, `${component.name} has no ${name}`);
  return found;
}

/** Offsets of local mean time have seconds; nothing since 1970 has. */
function offsetOf(component: Component, name: string): string {
  const property = single(component, name);
  const [offset] = /^[+-](?:0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]/u.exec(String(property.values[0])) ?? [];
  if (offset === undefined)
    throw new CalendarProblem(
      property.line,
      `${name} is not an offset such as +0100: ${shown(property.raw)}`,
    );
  return offset;
}

function localOf(property: Property, value: Property['values'][number] | undefined): Temporal.PlainDateTime {
  try {
    return Temporal.PlainDateTime.from(String(value), { overflow: 'reject' });
  } catch {
    throw new CalendarProblem(property.line, `${property.name} is not a local time: ${shown(property.raw)}`);
  }
}
