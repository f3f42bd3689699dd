import { acceptanceLimits, type CoveredFinding } from '@fixpoint/contract/acceptance.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import { raiseAlert } from '../notify/commands.ts';
import { transact } from '../transact.ts';
import { acceptancesToTell, lockAcceptance, updateAcceptance, type AcceptanceRow } from './store.ts';
import { counted, coveredBy } from './view.ts';

/**
 * Acceptances that end say so: some days ahead, and at their end with what is open again. That they no longer count needs none
 * of this; the read model stops counting them by the clock.
 */

type Rooms = Pick<ServerContext, 'db' | 'clock' | 'random' | 'posture'>;

const system: Actor = { kind: 'system', name: 'acceptance' };
const dayMilliseconds = 86_400_000;
const firstNamed = 20;

/** What an acceptance that ends is about. */
interface About {
  /** Findings of its scope that are not accepted (by another) now; of one that has not ended, all. */
  readonly findings: number;
  readonly assets: number;
  readonly exploited: number;
  readonly first: readonly CoveredFinding[];
}

/** Tells of every acceptance that has ended or soon will, each once, however many servers do this. */
export async function tellOfEndingAcceptances(context: Rooms): Promise<void> {
  const now = context.clock.now();
  const warnUntil = new Date(now.getTime() + acceptanceLimits.warning_days * dayMilliseconds);
  const rows = await acceptancesToTell(context.db, now, warnUntil);
  if (rows.length === 0) return;
  const isOver = (row: AcceptanceRow): boolean => row.expires_at <= now;
  const covered = await coveredBy(context, rows, firstNamed, isOver);
  for (const row of rows) {
    const about = covered.get(row.id);
    if (about === undefined) throw new Error('an acceptance that was asked for is not covered');
    const { coverage, first } = about;
    const findings = isOver(row) ? coverage.notAccepted : coverage.findings;
    const { assets, exploited } = coverage;
    await tell(context, row, { findings, assets: assets.size, exploited, first }, now);
  }
}

async function tell(context: Rooms, { id }: AcceptanceRow, about: About, now: Date): Promise<void> {
  await transact(context.db, async (trx) => {
    // Locked and read again: another server may have told of it, or somebody may have extended or revoked it.
    const row = await lockAcceptance(trx, id);
    if (row === null || row.revoked_at !== null || row.expired_at !== null) return;
    const isOver = row.expires_at <= now;
    const warnsFrom = row.expires_at.getTime() - acceptanceLimits.warning_days * dayMilliseconds;
    if (!isOver && (row.warned_at !== null || warnsFrom > now.getTime())) return;
    await updateAcceptance(trx, id, isOver ? { expired_at: now } : { warned_at: now });
    await appendAudit(trx, context, {
      actor: system,
      event: isOver ? 'acceptance.expired' : 'acceptance.expiring',
      subjectKind: 'acceptance',
      subject: id,
      after: {
        scope: row.scope,
        owner: row.owner,
        expires_at: row.expires_at.toISOString(),
        findings: about.findings,
        assets: about.assets,
      },
    });
    const end = row.expires_at.toISOString();
    await raiseAlert(trx, context, {
      kind: isOver ? 'acceptance_expired' : 'acceptance_expiring',
      severity: isOver && about.findings > 0 ? (about.exploited > 0 ? 'critical' : 'warning') : 'info',
      subjectKind: 'acceptance',
      subject: id,
      message: isOver ? expiredMessage(row, about) : expiringMessage(row, about),
      whatToDo: isOver
        ? `Fix them, or accept the risk anew: fixpoint finding list; fixpoint acceptance show ${id}`
        : `Fix them before, or extend it: fixpoint acceptance extend ${id}`,
      detail: { scope: row.scope, owner: row.owner, reason: row.reason, expires_at: end, ...about },
      // Who extends it is told again at the new end.
      deduplicationKey: `${isOver ? 'acceptance_expired' : 'acceptance_expiring'}:${id}:${end}`,
    });
  });
}

function expiredMessage(row: AcceptanceRow, about: About): string {
  const what = `The risk that ${row.owner} had accepted until ${row.expires_at.toISOString().slice(0, 10)} (${short(row.scope)}) is accepted no longer`;
  if (about.findings === 0) return `${what}; no finding is open again.`;
  return `${what}: ${counted(about.findings, 'finding')} ${about.findings === 1 ? 'is' : 'are'} open again, the worst first: ${named(about)}.`;
}

function expiringMessage(row: AcceptanceRow, about: About): string {
  const what = `The acceptance of ${row.owner} (${short(row.scope)}) ends on ${row.expires_at.toISOString().slice(0, 10)}`;
  if (about.findings === 0) return `${what}; it covers nothing now.`;
  return `${what}, and ${counted(about.findings, 'finding')} on ${counted(about.assets, 'asset')} will be open again, the worst first: ${named(about)}.`;
}

const short = (scope: string): string => (scope.length > 120 ? `${scope.slice(0, 119)}…` : scope);

function named({ first, findings }: About): string {
  const shown = first
    .slice(0, 3)
    .map(
      (one) =>
        `${one.vulnerability} in ${one.package} on ${one.hostname}${one.exploited ? ' (attacked now)' : ''}`,
    );
  return findings > shown.length ? `${shown.join(', ')}, …` : shown.join(', ');
}
