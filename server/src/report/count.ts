import type { ServerContext } from '../app.ts';
import type { Context } from '../context.ts';
import { evaluate } from './evaluate.ts';
import { countedAt, insertCount, reportsToCount, thinOutCounts, type ReportRow } from './store.ts';

/** What reports came to over time: one count of each an hour, thinned out to one a day, and kept for three years. */

const hour = 3_600_000;
const day = 24 * hour;
const keptHourly = 90 * day;
const kept = 3 * 365 * day;

type Counting = Pick<ServerContext, 'posture'> & Pick<Context, 'db' | 'clock' | 'log'>;

/** Counts all reports for this hour that have not been counted, by whichever server, and clears old counts away. */
export async function countReports(context: Counting): Promise<void> {
  const now = context.clock.now().getTime();
  const at = hourOf(now);
  const reports = await reportsToCount(context.db);
  const counted = await countedAt(
    context.db,
    reports.map((report) => report.id),
    at,
  );
  for (const report of reports) if (!counted.has(report.id)) await countOne(context, report, at, 'keep');
  await thinOutCounts(context.db, new Date(Math.floor((now - keptHourly) / day) * day), new Date(now - kept));
}

/**
 * Counts a report that was made or changed just now, in place of what its query before came to in the same hour. A report is
 * no worse for not being counted: what fails is tried again with the next hour.
 */
export async function countNow(context: Counting, report: ReportRow): Promise<void> {
  await countOne(context, report, hourOf(context.clock.now().getTime()), 'replace');
}

async function countOne(
  context: Counting,
  report: ReportRow,
  at: Date,
  taken: 'keep' | 'replace',
): Promise<void> {
  try {
    const evaluation = await evaluate(context, report);
    if (!evaluation.ok) {
      context.log.warn(
        { report: report.id, code: evaluation.code },
        `a report was not counted: ${evaluation.message}`,
      );
      return;
    }
    const { items, assets, risk } = evaluation.value;
    await insertCount(
      context.db,
      { report_id: report.id, at, items, assets: assets.size, risk },
      report.query_since,
      taken,
    );
  } catch (error) {
    context.log.warn({ err: error, report: report.id }, 'a report could not be counted');
  }
}

const hourOf = (time: number): Date => new Date(Math.floor(time / hour) * hour);
