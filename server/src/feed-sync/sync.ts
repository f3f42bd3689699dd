import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { secondsToNextAttempt } from '@fixpoint/core/knowledge/sync-schedule.ts';
import { appendAudit } from '../audit/commands.ts';
import { errorCode } from '../database/database-error.ts';
import { sourceOf } from '../feed/downloads.ts';
import { FeedFetchError, type Feed, type FeedPlan } from '../feed/feed.ts';
import type { ImportResult } from '../knowledge/import.ts';
import { transact } from '../transact.ts';
import { version } from '../version.ts';
import { feedClient } from './client.ts';
import { KeptFileDamaged } from './files.ts';
import { importFiles } from './import-files.ts';
import type { SyncParts } from './parts.ts';
import { startProgress } from './progress.ts';
import { isDue, planOf } from './schedule.ts';
import { inTurn, saveFiles, saveSync, settingRows, syncRow, type SyncRow } from './store.ts';

export type SyncOutcome =
  | { readonly outcome: 'imported'; readonly imports: readonly ImportResult[]; readonly bytes: number }
  | { readonly outcome: 'not_modified'; readonly bytes: number }
  | ({ readonly outcome: 'failed' } & Failure)
  /** `busy`: somebody else is at it; `not_due`: somebody else has just done it; `stopped`: it goes on at the next start. */
  | { readonly outcome: 'skipped'; readonly why: 'busy' | 'not_due' | 'stopped' };

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly whatToDo: string;
}

const Requested = Type.Object({
  actor: Type.Object({
    kind: Type.Union([Type.Literal('person'), Type.Literal('token'), Type.Literal('system')]),
    name: Type.String(),
  }),
  allow_shrink: Type.Boolean(),
});
const validRequest = Compile(Requested);

/** Rounds of a plan that says there is more; the rest waits for the next attempt. */
const mostRounds = 1000;

/**
 * Brings one feed up to date if it is its turn: plans, downloads, imports, and notes what came of it. Of several replicas one
 * does it. Whatever goes wrong with the publisher or its files is noted and answered, so that no feed stops another.
 *
 * @throws when the database is away, since then nothing can be noted
 */
export async function syncFeed(
  parts: SyncParts,
  feed: Feed,
  signal: AbortSignal = new AbortController().signal,
): Promise<SyncOutcome> {
  const { context } = parts;
  const outcome = await inTurn(context.db, feed.id, async (): Promise<SyncOutcome> => {
    const setting = (await settingRows(context.db)).find((row) => row.feed === feed.id) ?? null;
    const plan = planOf(parts, feed, setting);
    const before = await syncRow(context.db, feed.id);
    if (plan.url === null || !isDue(plan, before, context.clock.now())) {
      return { outcome: 'skipped', why: 'not_due' };
    }
    return await attempt(parts, feed, plan.url, plan.intervalSeconds, before, signal);
  });
  return outcome ?? { outcome: 'skipped', why: 'busy' };
}

async function attempt(
  parts: SyncParts,
  feed: Feed,
  url: string,
  intervalSeconds: number,
  before: SyncRow | null,
  signal: AbortSignal,
): Promise<SyncOutcome> {
  const { context } = parts;
  const startedAt = context.clock.now();
  const started = performance.now();
  const progress = await startProgress(context.db, feed.id, startedAt);
  const client = feedClient(parts, feed, url, { signal, progress: progress.bytes });
  let outcome: Exclude<SyncOutcome, { outcome: 'skipped' }>;
  let failure: Failure | null = null;
  let retryAfterSeconds: number | null = null;
  let refusedDigest: string | null = null;
  try {
    const imports = await rounds(parts, feed, client, before, signal, progress.records);
    if (imports.refused === null) {
      outcome =
        imports.done.length > 0
          ? { outcome: 'imported', imports: imports.done, bytes: client.transferred() }
          : { outcome: 'not_modified', bytes: client.transferred() };
    } else {
      failure = imports.refused;
      refusedDigest = imports.refusedDigest;
      outcome = { outcome: 'failed', ...failure };
    }
  } catch (error) {
    if (signal.aborted) {
      await progress.end();
      // it stays due
      await saveSync(context.db, feed.id, { phase: 'idle' });
      return { outcome: 'skipped', why: 'stopped' };
    }
    failure = failureOf(error);
    if (failure.code === 'sync_fault') context.log.error({ err: error, feed: feed.id }, 'a sync failed');
    if (error instanceof FeedFetchError) retryAfterSeconds = error.retryAfterSeconds;
    outcome = { outcome: 'failed', ...failure };
  }
  await progress.end();
  const failures = failure === null ? 0 : (before?.failures ?? 0) + 1;
  const seconds = secondsToNextAttempt({
    failures,
    intervalSeconds,
    retryAfterSeconds,
    random: (context.random.bytes(1)[0] ?? 0) / 256,
  });
  const now = context.clock.now();
  await transact(context.db, async (trx) => {
    await saveSync(trx, feed.id, {
      requested: null,
      next_attempt_at: new Date(now.getTime() + seconds * 1000),
      failures,
      outcome: outcome.outcome,
      error_code: failure?.code ?? null,
      error: failure?.message ?? null,
      what_to_do: failure?.whatToDo ?? null,
      bytes: client.transferred(),
      seconds: (performance.now() - started) / 1000,
      phase: 'idle',
      refused_digest: refusedDigest,
      ...(failure === null ? { succeeded_at: now, confirmed_at: startedAt } : {}),
    });
    // what an import was refused for is in the trail by itself; of an outage, its beginning, its change and its end
    const refusedByImport = refusedDigest !== null;
    if (failure !== null && !refusedByImport && failure.code !== before?.error_code) {
      await appendAudit(trx, context, {
        actor: system,
        event: 'feed.failed',
        subjectKind: 'feed',
        subject: feed.id,
        reason: failure.message,
        after: { code: failure.code },
      });
    }
    if (failure === null && before !== null && before.failures > 0) {
      await appendAudit(trx, context, {
        actor: system,
        event: 'feed.recovered',
        subjectKind: 'feed',
        subject: feed.id,
        after: { failures: before.failures, since: before.error_code },
      });
    }
  });
  if (failure !== null)
    context.log.warn({ feed: feed.id, ...failure, failures }, 'a feed could not be synced');
  else
    context.log.info({ feed: feed.id, outcome: outcome.outcome, bytes: client.transferred() }, 'feed synced');
  return outcome;
}

const system: Actor = { kind: 'system', name: 'feed sync' };

/** Plans and imports until there is no more. What a round imported is noted before the next one begins. */
async function rounds(
  parts: SyncParts,
  feed: Feed,
  client: ReturnType<typeof feedClient>,
  before: SyncRow | null,
  signal: AbortSignal,
  progress: (records: number) => void,
): Promise<{ done: ImportResult[]; refused: Failure | null; refusedDigest: string | null }> {
  const { context } = parts;
  const source = sourceOf(feed);
  if (source === null) throw new Error(`${feed.id} is not downloaded`);
  const requested = before?.requested ?? null;
  const request = validRequest.Check(requested) ? requested : null;
  const done: ImportResult[] = [];
  // a newer version may read more out of the same files
  let state: unknown = before?.state_version === version ? before.state : null;
  for (let round = 0; round < mostRounds; round++) {
    const plan: FeedPlan = await source.plan(client, { state });
    signal.throwIfAborted();
    if (plan.files.length > 0) {
      const digest = digestOf(plan);
      // nobody has changed anything about what was refused, so it would only be refused again
      if (request === null && before?.refused_digest === digest && before.error_code !== null) {
        const refused = {
          code: before.error_code,
          message: before.error ?? '',
          whatToDo: before.what_to_do ?? '',
        };
        return { done, refused, refusedDigest: digest };
      }
      const result = await importFiles(context, feed, plan.files, {
        actor: request?.actor ?? system,
        whole: plan.whole,
        allowShrink: request?.allow_shrink === true,
        signal,
        progress,
      });
      if (!result.ok) {
        const { code, message, whatToDo } = result;
        return { done, refused: { code, message, whatToDo }, refusedDigest: digest };
      }
      done.push(result.value);
    }
    await transact(context.db, async (trx) => {
      if (plan.files.length > 0) await saveFiles(trx, feed.id, plan.files, plan.whole);
      await saveSync(trx, feed.id, { state: JSON.stringify(plan.state), state_version: version });
    });
    if (plan.more !== true) break;
    state = plan.state;
  }
  return { done, refused: null, refusedDigest: null };
}

function digestOf(plan: FeedPlan): string {
  const hash = createHash('sha256');
  for (const file of plan.files) hash.update(`${file.sha256}\n`);
  return hash.digest('hex');
}

/** What went wrong with the publisher, its files, this disk, or with ourselves. */
function failureOf(error: unknown): Failure {
  if (error instanceof FeedFetchError) {
    const { code, message, whatToDo } = error;
    return { code, message, whatToDo };
  }
  if (error instanceof KeptFileDamaged) {
    return {
      code: 'kept_file_damaged',
      message: error.message,
      whatToDo: 'It is downloaded again by itself. If this repeats, look at the disk of the data folder.',
    };
  }
  const code = errorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EACCES' || code === 'EROFS') {
    return {
      code: 'disk_unusable',
      message: `the data folder cannot be written: ${error instanceof Error ? error.message : code}`,
      whatToDo: 'Make room, or give the server the right to write its data folder.',
    };
  }
  return {
    code: 'sync_fault',
    message: 'the server failed to sync this feed',
    whatToDo: 'Look into the server’s log for what happened; report it if it repeats.',
  };
}
