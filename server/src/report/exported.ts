import type { ReportSort } from '@fixpoint/contract/report.ts';
import type { ColumnType, ColumnValue } from '@fixpoint/core/posture/select/column.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';

/** A report on its way out, whatever the format. */

export interface ExportedColumn {
  readonly name: string;
  readonly title: string;
  readonly type: ColumnType;
  readonly description: string;
  readonly decimals?: number;
}

/** Values in the order of the columns, as they go over the wire: dates as RFC 3339 in UTC. */
export type ExportedRow = readonly ColumnValue[];

export interface ExportedReport {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly subject: Subject;
  readonly query: string;
  readonly explanation: string;
  readonly sort: readonly ReportSort[];
  /** When the rows were selected and put in order. */
  readonly asOf: Date;
  /** Who has it exported. */
  readonly by: string;
  readonly columns: readonly ExportedColumn[];
  /** Rows that were selected. */
  readonly total: number;
  /**
   * Rows as they are read, a batch at a time. What has gone since they were selected (fixed, retired) is not among them, so
   * there can be fewer than `total`.
   */
  readonly rows: () => AsyncIterable<readonly ExportedRow[]>;
}
