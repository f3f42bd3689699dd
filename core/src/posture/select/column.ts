/** A column of a result: what it is called, what type it has, and how it is read from the model of the fleet. */
import type { Fact, FactValue, QueryRecord } from '../../query/evaluate.ts';
import { knownField, type Field, type Subject } from '../../query/fields.ts';
import { parseDate } from '../../query/time.ts';
import type { FleetPatch } from '../patches.ts';
import type { FleetFinding, FleetReading } from '../reading.ts';
import { patchRecord, vulnerabilityRecord } from './records.ts';

/** What one row of a result is about. Assets by id, vulnerabilities by index. */
export interface Items {
  readonly asset: number;
  readonly finding: FleetFinding;
  readonly vulnerability: number;
  readonly patch: FleetPatch;
}

/** Dates are milliseconds since 1970. Null: not known, or there is none. */
export type ColumnValue = string | number | boolean | null | readonly string[];

export type ColumnType = 'text' | 'number' | 'date' | 'boolean' | 'list';

/** One row, while its columns are read. */
export interface Row<Item> {
  readonly fleet: FleetReading;
  readonly item: Item;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** It as the query language sees it; made when first asked for. */
  record(): QueryRecord;
}

export interface Column<Item> {
  readonly name: string;
  /** Heading of a table. */
  readonly title: string;
  readonly type: ColumnType;
  readonly description: string;
  /** Of numbers: decimals that mean something. */
  readonly decimals?: number;
  /** Of text with a fixed set of values that have an order of their own: from the least to the greatest. */
  readonly choices?: readonly string[];
  readonly of: (row: Row<Item>) => ColumnValue;
}

export interface Sort {
  /** Name of a column. */
  readonly by: string;
  readonly descending: boolean;
}

const titles: Readonly<Record<string, string>> = {
  os: 'OS',
  cvss: 'CVSS',
  epss: 'EPSS',
  reboot_required: 'Needs a reboot',
  reachable: 'Reachable',
  open_findings: 'Open findings',
  tag: 'Tags',
  address: 'Addresses',
  held: 'Held packages',
  unit: 'Running units',
  failed_unit: 'Failed units',
  last_seen: 'Last check-in',
  first_seen: 'First seen',
  due: 'Due',
  accepted_until: 'Accepted until',
  exploited: 'Exploited',
  exploited_since: 'Exploited since',
  ransomware: 'Ransomware',
  exploit: 'Exploit',
  reopened: 'Reopened',
  fix_available: 'Fix available',
  published: 'Published',
  enrolled: 'Enrolled',
  booted: 'Booted',
  affected_assets: 'Affected assets',
  withdrawn: 'Withdrawn',
  alias: 'Aliases',
  needs_reboot: 'Needs a reboot',
  suspect: 'Suspect',
  superseded: 'Superseded',
};

export const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** What a field of the query language is as a column. */
export function shape(name: string, field: Field): Omit<Column<unknown>, 'of'> {
  const decimals = field.name === 'epss' ? 5 : field.type === 'number' ? 1 : 0;
  const typeOf = (): ColumnType => {
    if (field.many === true) return 'list';
    if (field.type === 'number' || field.type === 'integer') return 'number';
    return field.type === 'date' || field.type === 'boolean' ? field.type : 'text';
  };
  const type = typeOf();
  return {
    name,
    title: titles[field.name] ?? capital(field.label),
    type,
    description: field.description,
    ...(type === 'number' ? { decimals } : {}),
    ...(field.ordered === true && field.choices !== undefined ? { choices: field.choices } : {}),
  };
}

/** A column of one subject that shows a stored field by its record. */
export function recorded<Item>(subject: Subject, name: string): Column<Item> {
  const described = shape(name, knownField(subject, name));
  return { ...described, of: (row) => shown(row.record().field(name, null), described.type) };
}

export function shown(value: FactValue, type: ColumnType): ColumnValue {
  if (value === null) return null;
  if (isList(value)) {
    if (type === 'list') return value.flatMap((each) => (each === null ? [] : [textOf(each)]));
    // Of a field with one value an empty list: it is known that there is none.
    return shown(value[0] ?? null, type);
  }
  if (type === 'date') return typeof value === 'number' ? value : (parseDate(textOf(value))?.from ?? null);
  if (typeof value === 'object') return value.text;
  return value;
}

const isList = (value: FactValue): value is readonly (Fact | null)[] => Array.isArray(value);
const textOf = (fact: Fact): string => (typeof fact === 'object' ? fact.text : String(fact));

/** One row for reading columns of it. */
export function rowOf<S extends Subject>(
  subject: S,
  fleet: FleetReading,
  item: Items[S],
  now: number,
): Row<Items[S]> {
  let record: QueryRecord | null = null;
  return {
    fleet,
    item,
    now,
    record: () => (record ??= recordOf[subject](fleet, item, now)),
  };
}

const recordOf: {
  readonly [S in Subject]: (fleet: FleetReading, item: Items[S], now: number) => QueryRecord;
} = {
  asset: (fleet, item, now) => fleet.assetRecord(item, now),
  finding: (fleet, item, now) => fleet.findingRecord(item, now),
  vulnerability: vulnerabilityRecord,
  patch: patchRecord,
};

/** A value as it goes over the wire: dates as RFC 3339 in UTC, numbers with the decimals that mean something. */
export function wireValue(column: Pick<Column<never>, 'type' | 'decimals'>, value: ColumnValue): ColumnValue {
  if (typeof value !== 'number') return value;
  if (column.type === 'date') return new Date(value).toISOString();
  return column.decimals === undefined ? value : Number(value.toFixed(column.decimals));
}
