import { createHash } from 'node:crypto';
import { permissions, type Permission, type Token } from '@fixpoint/contract/access.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { Context } from '../context.ts';
import { refuse, type Answer } from '../refusal.ts';
import { markUsed, tokenByHash, type TokenRow } from './store.ts';

/** Secrets are 32 random bytes, so their plain SHA-256 cannot be searched for; that is all that is stored. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret, 'utf8').digest('hex');
}

/** `last_used_at` is written at most this often. */
const useStampSeconds = 60;

/** The tool that a secret `fxt_…` belongs to. */
export async function toolOfSecret(
  context: Pick<Context, 'db' | 'clock'>,
  secret: string,
): Promise<Answer<{ kind: 'token'; actor: Actor; permissions: readonly Permission[] }>> {
  const row = await tokenByHash(context.db, 'tool', hashSecret(secret));
  const makeAnother = 'make another one: fixpoint token create, POST /api/v1/tokens';
  if (row === null) return refuse(401, 'unauthenticated', 'there is no such token', makeAnother);
  const now = context.clock.now();
  if (row.revoked_at !== null)
    return refuse(401, 'token_revoked', `the token ${row.name} was revoked`, makeAnother);
  if (row.expires_at <= now)
    return refuse(401, 'token_expired', `the token ${row.name} has expired`, makeAnother);
  if (row.last_used_at === null || now.getTime() - row.last_used_at.getTime() > useStampSeconds * 1000) {
    await markUsed(context.db, row.id, now);
  }
  return {
    ok: true,
    value: { kind: 'token', actor: { kind: 'token', name: row.name }, permissions: known(row.permissions) },
  };
}

const known = (names: readonly string[]): Permission[] =>
  permissions.filter((permission) => names.includes(permission));

export function tokenView(row: TokenRow): Token {
  return {
    id: row.id,
    kind: row.kind === 'enrolment' ? 'enrolment' : 'tool',
    name: row.name,
    permissions: known(row.permissions),
    uses_left: row.uses_left,
    tags: row.tags,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
    last_used_at: row.last_used_at?.toISOString() ?? null,
  };
}
