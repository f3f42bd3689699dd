import { Type, type Static } from 'typebox';
import { subjects } from '@fixpoint/core/query/fields.ts';
import { oneOf } from './enum.ts';
import { List, ListQuery } from './list.ts';

/** Prioritisation reports: a saved query with an order and columns, shared between people. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const reportLimits = { name: 200, description: 2_000, query: 10_000, columns: 40, sort: 5 } as const;

/** Columns are those of core/src/posture/select/columns.ts; `attribute.NAME` and `cloud.NAME` are columns too. */
const columnName = Type.String({ minLength: 1, maxLength: 255 });
export const ReportSort = Type.Object({ by: columnName, descending: Type.Boolean() }, closed);
export type ReportSort = Static<typeof ReportSort>;

const name = Type.String({ minLength: 1, maxLength: reportLimits.name, pattern: '\\S' });
const description = Type.String({ maxLength: reportLimits.description });
const query = Type.String({ maxLength: reportLimits.query });
const sort = Type.Array(ReportSort, { minItems: 1, maxItems: reportLimits.sort });
const columns = Type.Array(columnName, { minItems: 1, maxItems: reportLimits.columns, uniqueItems: true });

/** POST /api/v1/reports. Without `sort` and `columns` those that are usual for the subject; not shared unless it says so. */
export const ReportRequest = Type.Object(
  {
    name,
    description: Type.Optional(description),
    subject: oneOf(subjects),
    query,
    sort: Type.Optional(sort),
    columns: Type.Optional(columns),
    shared: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ReportRequest = Static<typeof ReportRequest>;

/** PATCH /api/v1/reports/:id. `version` is the one that was read: 409 when somebody has changed the report since. */
export const ReportChange = Type.Object(
  {
    version: Type.Integer({ minimum: 1 }),
    name: Type.Optional(name),
    description: Type.Optional(description),
    query: Type.Optional(query),
    sort: Type.Optional(sort),
    columns: Type.Optional(columns),
    shared: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type ReportChange = Static<typeof ReportChange>;

/** POST /api/v1/reports/:id/copy: a report of one's own, not shared. */
export const ReportCopyRequest = Type.Object({ name: Type.Optional(name) }, closed);
/** DELETE /api/v1/reports/:id?version= */
export const ReportArchiveQuery = Type.Object(
  { version: Type.Optional(Type.Integer({ minimum: 1 })) },
  closed,
);

export const ReportCount = Type.Object(
  {
    at: time,
    items: Type.Integer({ minimum: 0 }),
    /** Assets that the items are about. */
    assets: Type.Integer({ minimum: 0 }),
    /** Sum of the risks of these assets, each 0 to 1000; null for reports on vulnerabilities and patches. */
    risk: orNull(Type.Number()),
  },
  closed,
);
export type ReportCount = Static<typeof ReportCount>;

export const Report = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    name: Type.String(),
    description: Type.String(),
    subject: oneOf(subjects),
    query: Type.String(),
    /** The query as a sentence; null when this version of the server cannot read it. */
    explanation: orNull(Type.String()),
    sort: Type.Array(ReportSort),
    columns: Type.Array(Type.String()),
    owner: Type.String(),
    owner_kind: oneOf(['person', 'token', 'system'] as const),
    shared: Type.Boolean(),
    version: Type.Integer(),
    created_at: time,
    updated_at: time,
    updated_by: Type.String(),
    /** Since when the query is as it is: counts from before are those of an earlier one. */
    query_since: time,
    archived_at: orNull(time),
    /** Whether whoever asks may change it. */
    may_change: Type.Boolean(),
    /** Null until it was counted. */
    last_count: orNull(ReportCount),
  },
  closed,
);
export type Report = Static<typeof Report>;

/** GET /api/v1/reports?subject=&mine=&limit=&after= → List(Report), by name: one's own and those that are shared. */
export const ReportQuery = Type.Object(
  { ...ListQuery, subject: Type.Optional(oneOf(subjects)), mine: Type.Optional(Type.Boolean()) },
  closed,
);
export const ReportList = List(Report);

/** GET /api/v1/reports/:id/items?limit=&after= → SearchResult of search.ts */
export const ReportItemsQuery = Type.Object(
  { ...ListQuery, after: Type.Optional(Type.String({ maxLength: 4096 })) },
  closed,
);

/** GET /api/v1/reports/:id/counts?from=&to=, oldest first; without `from` the last 30 days. */
export const ReportCountsQuery = Type.Object({ from: Type.Optional(time), to: Type.Optional(time) }, closed);
export const ReportCounts = Type.Object({ items: Type.Array(ReportCount), query_since: time }, closed);
export type ReportCounts = Static<typeof ReportCounts>;

export const exportFormats = ['csv', 'json', 'pdf'] as const;
export type ExportFormat = (typeof exportFormats)[number];
/** Rows that an export holds at the most. The PDF says when it leaves rows out; the others are refused instead. */
export const exportLimits: Readonly<Record<ExportFormat, number>> = {
  csv: 1_000_000,
  json: 1_000_000,
  pdf: 5_000,
};

/** What an export is called: letters and digits of the report’s name, and the day in UTC. */
export function exportFileName(report: string, at: Date, format: ExportFormat): string {
  const plain = report
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/gu, '-')
    .replaceAll(/^-+|-+$/gu, '');
  return `${plain === '' ? 'report' : plain.slice(0, 80)}-${at.toISOString().slice(0, 10)}.${format}`;
}

/** GET /api/v1/reports/:id/export?format= */
export const ReportExportQuery = Type.Object({ format: oneOf(exportFormats) }, closed);

/** GET /api/v1/report-templates → { items }: what many want to know, to be saved as a report. */
export const ReportTemplate = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    description: Type.String(),
    subject: oneOf(subjects),
    query: Type.String(),
    explanation: Type.String(),
    sort: Type.Array(ReportSort),
    columns: Type.Array(Type.String()),
  },
  closed,
);
export type ReportTemplate = Static<typeof ReportTemplate>;
export const ReportTemplates = Type.Object({ items: Type.Array(ReportTemplate) }, closed);
