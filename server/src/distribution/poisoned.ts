import type { TaskEvent } from '@fixpoint/contract/agent.ts';
import type { NewAuditEvent } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import type { NewAlert } from '../notify/commands.ts';
import { suspect } from './points.ts';
import { pointByName, removeStored, removeStoredNamed } from './store.ts';

/**
 * A host found that what came through a distribution point is not what its package manager would take: the hash or the
 * signature is another one. The point is told to drop the file and to fetch it again, and so is the server's own, through which
 * it came. What to append and to raise is answered, since that comes last in a transaction.
 */
export async function notePoisoned(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  reporter: {
    readonly uid: string;
    readonly hostname: string;
    readonly taskId: string;
    readonly generation: number;
  },
  event: Pick<TaskEvent, 'detail' | 'message'>,
): Promise<{ readonly audit: readonly NewAuditEvent[]; readonly alerts: readonly NewAlert[] }> {
  const told = event.detail?.distribution;
  if (told === undefined || told.problem === 'not_reached') return { audit: [], alerts: [] };
  const row = told.point === null ? undefined : await pointByName(trx, told.point);
  if (row !== undefined) await suspect(trx, context, row, told.files);
  for (const file of told.files) {
    if (file.includes('/')) await removeStored(trx, file);
    else await removeStoredNamed(trx, file);
  }
  const name = told.point ?? 'server';
  const files = told.files.length === 0 ? 'a file that it did not name' : told.files.join(', ');
  const what =
    told.problem === 'hash_mismatch' ? 'another hash than the signed index says' : 'no valid signature';
  const detail = {
    point: name,
    problem: told.problem,
    files: told.files,
    asset: reporter.uid,
    hostname: reporter.hostname,
    task: reporter.taskId,
    message: event.message ?? null,
  };
  return {
    audit: [
      {
        actor: { kind: 'agent', name: reporter.uid },
        event: 'distribution_point.poisoned',
        subjectKind: 'distribution_point',
        subject: row?.id ?? name,
        after: detail,
      },
    ],
    alerts: [
      {
        kind: 'distribution_poisoned',
        severity: 'critical',
        subjectKind: 'distribution_point',
        subject: row?.id ?? name,
        message: `${reporter.hostname} got ${files} from the distribution point ${name} with ${what}. Nothing of it was installed.`,
        whatToDo:
          'Find out who can write to the cache of that point or stands between it and its upstream. The file is fetched again; until the cause is known, remove the point.',
        detail,
        // one for all hosts that got it: each of their reports is on the audit trail
        deduplicationKey: `distribution_poisoned:${row?.id ?? name}:${told.files[0] ?? ''}:${context.clock.now().toISOString().slice(0, 10)}`,
      },
    ],
  };
}
