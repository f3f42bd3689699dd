import { Temporal } from 'temporal-polyfill';

/**
 * Recurrence rules, read strictly: the library that expands them ignores what it does not know, and a window must not be open
 * because of a misprint. RFC 5545, 3.3.10.
 */

export interface RecurrenceRule {
  /** Without UNTIL, which is heeded apart. */
  readonly text: string;
  readonly until: RuleEnd | null;
}

/** The last time that still counts. */
export type RuleEnd =
  | { readonly kind: 'moment'; readonly at: number }
  | { readonly kind: 'local'; readonly at: Temporal.PlainDateTime };

export type RuleAnswer =
  | { readonly ok: true; readonly rule: RecurrenceRule }
  | { readonly ok: false; readonly message: string };

const frequencies = ['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY', 'HOURLY'];
/** Name of each part → the numbers that may stand in it; negative ones too where `negative`. */
const numbers: Readonly<Record<string, { from: number; to: number; negative?: boolean; list?: boolean }>> = {
  INTERVAL: { from: 1, to: 1_000 },
  COUNT: { from: 1, to: 5_000 },
  BYMONTH: { from: 1, to: 12, list: true },
  BYMONTHDAY: { from: 1, to: 31, negative: true, list: true },
  BYYEARDAY: { from: 1, to: 366, negative: true, list: true },
  BYWEEKNO: { from: 1, to: 53, negative: true, list: true },
  BYSETPOS: { from: 1, to: 366, negative: true, list: true },
  BYHOUR: { from: 0, to: 23, list: true },
  BYMINUTE: { from: 0, to: 59, list: true },
};
const dayPattern = /^([+-]?(?:[1-9]|[1-4][0-9]|5[0-3]))?(?:MO|TU|WE|TH|FR|SA|SU)$/u;
const timesADayMaximum = 24;

/** Reads a rule such as `FREQ=WEEKLY;INTERVAL=2;BYDAY=SA`; refuses what is not in RFC 5545, or recurs more than 24 times a day. */
export function readRule(text: string): RuleAnswer {
  const parts = new Map<string, string>();
  for (const part of text.toUpperCase().split(';')) {
    const [name = '', value = '', ...more] = part.split('=');
    if (name === '' || value === '' || more.length > 0) return no(`${quoted(part)} is not NAME=VALUE`);
    if (parts.has(name)) return no(`${name} is there twice`);
    parts.set(name, value);
  }
  const freq = parts.get('FREQ');
  if (freq === undefined) return no('FREQ is missing');
  if (!frequencies.includes(freq)) return no(`FREQ=${freq} is none of ${frequencies.join(', ')}`);
  for (const [name, value] of parts) {
    const problem = partProblem(name, value);
    if (problem !== null) return no(problem);
  }
  const problem = togetherProblem(freq, parts);
  if (problem !== null) return no(problem);
  const end = parts.get('UNTIL');
  const until = end === undefined ? null : readUntil(end);
  if (until === 'unreadable')
    return no(`UNTIL=${String(end)} is not a date such as 20261231 or 20261231T235900Z`);
  parts.delete('UNTIL');
  return {
    ok: true,
    rule: { text: [...parts].map(([name, value]) => `${name}=${value}`).join(';'), until },
  };
}

const no = (message: string): RuleAnswer => ({ ok: false, message });
const quoted = (text: string) => JSON.stringify(text.slice(0, 60));

function partProblem(name: string, value: string): string | null {
  if (name === 'FREQ' || name === 'UNTIL') return null;
  if (name === 'WKST')
    return /^(?:MO|TU|WE|TH|FR|SA|SU)$/u.test(value) ? null : `WKST=${value} is not a weekday such as MO`;
  if (name === 'BYDAY') {
    const bad = value.split(',').find((day) => !dayPattern.test(day));
    return bad === undefined ? null : `${quoted(bad)} in BYDAY is not a weekday such as SA, 2TU or -1FR`;
  }
  const range = Object.hasOwn(numbers, name) ? numbers[name] : undefined;
  if (range === undefined) return `${quoted(name)} is not a part of a rule that can be used here`;
  const values = range.list === true ? value.split(',') : [value];
  const sign = range.negative === true ? /^[+-]?[0-9]{1,4}$/u : /^\+?[0-9]{1,4}$/u;
  const bad = values.find((one) => {
    const size = Math.abs(Number(one));
    return !sign.test(one) || size < range.from || size > range.to;
  });
  return bad === undefined
    ? null
    : `${quoted(bad)} in ${name} is not a number from ${String(range.from)} to ${String(range.to)}`;
}

/** What may not stand together. */
function togetherProblem(freq: string, parts: ReadonlyMap<string, string>): string | null {
  const has = (name: string) => parts.has(name);
  if (has('COUNT') && has('UNTIL')) return 'COUNT and UNTIL exclude each other';
  if (has('BYYEARDAY') && freq !== 'YEARLY') return 'BYYEARDAY needs FREQ=YEARLY';
  if (has('BYWEEKNO') && freq !== 'YEARLY') return 'BYWEEKNO needs FREQ=YEARLY';
  if (has('BYMONTHDAY') && freq === 'WEEKLY') return 'BYMONTHDAY does not go with FREQ=WEEKLY';
  const nth = /[0-9]/u.test(parts.get('BYDAY') ?? '');
  if (nth && freq !== 'MONTHLY' && freq !== 'YEARLY')
    return 'the nth weekday needs FREQ=MONTHLY or FREQ=YEARLY';
  if (nth && has('BYWEEKNO')) return 'the nth weekday does not go with BYWEEKNO';
  const others = [...parts.keys()].filter((name) => name.startsWith('BY') && name !== 'BYSETPOS');
  if (has('BYSETPOS') && others.length === 0) return 'BYSETPOS needs another part whose name begins with BY';
  const length = (name: string) => new Set(parts.get(name)?.split(',').map(Number)).size;
  const hours = freq === 'HOURLY' ? 24 : Math.max(1, length('BYHOUR'));
  return hours * Math.max(1, length('BYMINUTE')) > timesADayMaximum
    ? `the rule recurs more than ${String(timesADayMaximum)} times a day`
    : null;
}

const endPattern = /^([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?$/u;

function readUntil(text: string): RuleEnd | 'unreadable' {
  const match = endPattern.exec(text);
  if (match === null) return 'unreadable';
  const [, year, month, day, hour, minute, second, utc] = match;
  try {
    const date = Temporal.PlainDate.from(
      { year: Number(year), month: Number(month), day: Number(day) },
      { overflow: 'reject' },
    );
    // a date alone is the whole of that day
    if (hour === undefined) return { kind: 'local', at: date.toPlainDateTime({ hour: 23, minute: 59 }) };
    const time = Temporal.PlainTime.from(
      { hour: Number(hour), minute: Number(minute), second: Number(second) },
      { overflow: 'reject' },
    );
    const local = date.toPlainDateTime(time);
    return utc === 'Z'
      ? { kind: 'moment', at: local.toZonedDateTime('UTC').epochMilliseconds }
      : { kind: 'local', at: local };
  } catch {
    return 'unreadable';
  }
}
