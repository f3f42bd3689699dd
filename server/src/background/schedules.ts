import { PgBoss, fromKysely } from 'pg-boss';
import type { ServerContext } from '../app.ts';
import type { Context } from '../context.ts';
import { tellOfEndingAcceptances } from '../acceptance/expire.ts';
import { verifyAudit } from '../audit/commands.ts';
import { forgetTaskLogs, noticeStuckTasks } from '../deployment/commands.ts';
import { alertOfStaleFeeds } from '../feed-sync/commands.ts';
import { syncParts } from '../feed-sync/parts.ts';
import { raiseAlert } from '../notify/commands.ts';
import { forgetChanges } from '../posture/store.ts';
import { countReports } from '../report/count.ts';
import { writeDownMembers } from '../tag/members.ts';
import { transact } from '../transact.ts';
import type { Background } from './background.ts';

/** The only file that knows the queue library. Work on hosts is never in it: that is rows of tables with states. */

interface Schedule {
  readonly name: string;
  /** Cron, in UTC. */
  readonly cron: string;
  readonly work: (context: ServerContext) => Promise<void>;
}

/** A read model that is further behind than half of this loads the fleet anew (posture/open.ts). */
const keptChangesHours = 24;

const schedules: readonly Schedule[] = [
  {
    name: 'tag-members',
    cron: '* * * * *',
    work: async (context) => {
      await writeDownMembers(context);
    },
  },
  { name: 'feed-staleness', cron: '23 * * * *', work: (context) => alertOfStaleFeeds(syncParts(context)) },
  { name: 'report-counts', cron: '2 * * * *', work: countReports },
  { name: 'acceptance-ends', cron: '*/5 * * * *', work: tellOfEndingAcceptances },
  {
    name: 'fleet-changes',
    cron: '41 * * * *',
    work: async (context) => {
      await transact(context.db, async (trx) => await forgetChanges(trx, keptChangesHours));
    },
  },
  { name: 'stuck-tasks', cron: '* * * * *', work: noticeStuckTasks },
  {
    name: 'task-logs',
    cron: '29 2 * * *',
    work: async (context) => {
      await forgetTaskLogs(context, async (work) => await transact(context.db, work));
    },
  },
  { name: 'audit-verification', cron: '17 3 * * *', work: alertOfBrokenTrail },
];

/** Starts the schedules. Whatever the number of replicas, each run is done by one. */
export async function startSchedules(context: ServerContext): Promise<Background> {
  const boss = new PgBoss({ db: fromKysely(context.db), schema: 'pgboss' });
  boss.on('error', (error) => {
    context.log.warn({ err: error }, 'the queue met an error');
  });
  await boss.start();
  for (const schedule of schedules) {
    await boss.createQueue(schedule.name, { retryLimit: 2, expireInSeconds: 900 });
    await boss.work(schedule.name, { pollingIntervalSeconds: 10 }, async () => {
      await schedule.work(context);
    });
    await boss.schedule(schedule.name, schedule.cron, null, { tz: 'UTC' });
  }
  return {
    async stop() {
      await boss.stop({ graceful: true, timeout: 5_000 });
    },
  };
}

/** Verifies the audit trail from its beginning. */
export async function alertOfBrokenTrail(context: Context): Promise<void> {
  const verified = await verifyAudit(context, null);
  if (verified.ok) return;
  const bad = verified.first_bad;
  const place = bad === null ? 'its end' : `event ${String(bad.sequence)}`;
  context.log.error({ first_bad: bad }, 'the audit trail is not intact');
  await transact(context.db, async (trx) => {
    await raiseAlert(trx, context, {
      kind: 'audit_broken',
      severity: 'critical',
      subjectKind: 'audit',
      subject: 'audit',
      message: `The audit trail is not intact at ${place}: ${bad?.problem ?? 'something is missing'}.`,
      whatToDo:
        'Treat it as a security event: compare with an exported trail and find out who can write to the database.',
      detail: bad,
      deduplicationKey: `audit_broken:${place}`,
    });
  });
}
