import type { BundleKey, BundleKeys } from '@fixpoint/contract/feed.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { appendAudit } from '../audit/commands.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import type { SyncParts } from './parts.ts';
import { insertKey, keyRows, removeKey } from './store.ts';

/** This server's own key, and those whose bundles it takes. */
export async function bundleKeys(parts: SyncParts): Promise<BundleKeys> {
  const { context } = parts;
  const trusted = (await keyRows(context.db)).map((row) => ({
    ...row,
    added_at: row.added_at.toISOString(),
  }));
  return { own: context.keys.bundle.publicKey, trusted };
}

/** From now on bundles signed with this key are taken. */
export async function trustKey(
  parts: SyncParts,
  actor: Actor,
  request: { readonly public_key: string; readonly name: string },
): Promise<Answer<BundleKey>> {
  const { context } = parts;
  const { public_key, name } = request;
  if (Buffer.from(public_key, 'base64url').length !== 32) {
    return refuse(
      400,
      'key_invalid',
      'this is not an Ed25519 public key',
      'copy it from fixpoint feed bundle trust list',
    );
  }
  const row = { public_key, name, added_by: actor.name, added_at: context.clock.now() };
  const isNew = await transact(context.db, async (trx) => {
    if (!(await insertKey(trx, row))) return false;
    await appendAudit(trx, context, {
      actor,
      event: 'feed.bundle_key_added',
      subjectKind: 'bundle',
      subject: public_key,
      after: { name },
    });
    return true;
  });
  if (isNew) return answer({ ...row, added_at: row.added_at.toISOString() });
  return refuse(409, 'key_known', 'this key is trusted already', 'remove it first to give it another name');
}

/** Bundles signed with this key are no longer taken. What was imported stays. */
export async function distrustKey(
  parts: SyncParts,
  actor: Actor,
  publicKey: string,
): Promise<Answer<BundleKey>> {
  const { context } = parts;
  const removed = await transact(context.db, async (trx) => {
    const row = await removeKey(trx, publicKey);
    if (row === null) return null;
    await appendAudit(trx, context, {
      actor,
      event: 'feed.bundle_key_removed',
      subjectKind: 'bundle',
      subject: publicKey,
      before: { name: row.name },
    });
    return row;
  });
  if (removed !== null) return answer({ ...removed, added_at: removed.added_at.toISOString() });
  return refuse(
    404,
    'key_unknown',
    'no such key is trusted',
    'see which are: fixpoint feed bundle trust list',
  );
}
