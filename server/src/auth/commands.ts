import type {
  EnrolmentTokenRequest,
  Permission,
  Token,
  TokenCreated,
  TokenRequest,
} from '@fixpoint/contract/access.ts';
import { enrolmentTokenPattern } from '@fixpoint/contract/agent.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { listTagsCalled } from '../tag/members.ts';
import { transact } from '../transact.ts';
import {
  allTokens,
  insertToken,
  lockEnrolmentToken,
  lockKeys,
  markRevoked,
  takeUse,
  tokenByHash,
  tokenById,
} from './store.ts';
import { hashSecret, tokenView } from './tokens.ts';

/** Tokens, for tools and for enrolment. People are in person-commands.ts. */

const daySeconds = 86_400;

const newSecret = (context: Pick<Context, 'random'>) =>
  Buffer.from(context.random.bytes(32)).toString('base64url');

/** Makes a token for a tool. It can do no more than whoever makes it. */
export async function createToken(
  context: Context,
  creator: { readonly actor: Actor; readonly permissions: readonly Permission[] },
  request: TokenRequest,
): Promise<Answer<TokenCreated>> {
  const beyond = request.permissions.filter((permission) => !creator.permissions.includes(permission));
  if (beyond.length > 0) {
    return refuse(
      403,
      'permissions_exceeded',
      `a token cannot do what its maker may not do: ${beyond.join(', ')}`,
      'leave these permissions out, or ask somebody who has them',
    );
  }
  return await transact(context.db, async (trx) =>
    answer(await addToolToken(trx, context, creator.actor, request)),
  );
}

async function addToolToken(
  trx: Transact,
  context: Context,
  actor: Actor,
  request: TokenRequest,
): Promise<TokenCreated> {
  const secret = `fxt_${newSecret(context)}`;
  const now = context.clock.now();
  const row = await insertToken(trx, {
    id: context.random.uuid(),
    kind: 'tool',
    name: request.name,
    secret_sha256: hashSecret(secret),
    permissions: [...new Set(request.permissions)],
    uses_left: null,
    created_by: actor.name,
    created_at: now,
    expires_at: new Date(now.getTime() + request.expires_in_days * daySeconds * 1000),
  });
  const token = tokenView(row);
  await appendAudit(trx, context, {
    actor,
    event: 'token.created',
    subjectKind: 'token',
    subject: token.id,
    after: { name: token.name, permissions: token.permissions, expires_at: token.expires_at },
  });
  return { token, secret };
}

/** Makes the token that hosts enrol with: `fxe_SECRET.FINGERPRINT`; see contract/src/agent.ts. */
export async function createEnrolmentToken(
  context: ServerContext,
  actor: Actor,
  request: EnrolmentTokenRequest,
): Promise<Answer<TokenCreated>> {
  const secret = newSecret(context);
  const now = context.clock.now();
  return await transact(context.db, async (trx) => {
    const tags = await listTagsCalled(trx, request.tags);
    if (!tags.ok) return tags;
    const row = await insertToken(trx, {
      id: context.random.uuid(),
      kind: 'enrolment',
      name: request.name,
      secret_sha256: hashSecret(secret),
      uses_left: request.uses,
      tags: [...new Set(request.tags)],
      created_by: actor.name,
      created_at: now,
      expires_at: new Date(now.getTime() + request.expires_in_minutes * 60_000),
    });
    const token = tokenView(row);
    await appendAudit(trx, context, {
      actor,
      event: 'enrolment_token.created',
      subjectKind: 'enrolment_token',
      subject: token.id,
      after: { name: token.name, uses: token.uses_left, tags: token.tags, expires_at: token.expires_at },
    });
    return answer({ token, secret: `fxe_${secret}.${context.keys.order.fingerprint}` });
  });
}

export async function listTokens(
  context: Pick<Context, 'db'>,
  kind: Token['kind'] | null,
): Promise<{ items: Token[] }> {
  const rows = await allTokens(context.db);
  return { items: rows.map(tokenView).filter((token) => kind === null || token.kind === kind) };
}

/** Revokes a token for good. Revoking it again changes nothing and is no error. */
export async function revokeToken(
  context: Context,
  actor: Actor,
  id: string,
  kind: Token['kind'] | null,
): Promise<Answer<Token>> {
  return await transact(context.db, async (trx) => {
    const found = await tokenById(trx, id);
    if (found === null || (kind !== null && found.kind !== kind)) {
      return refuse(404, 'token_unknown', 'there is no token with this id', 'list them: GET /api/v1/tokens');
    }
    const revoked = await markRevoked(trx, id, context.clock.now());
    if (revoked === null) return answer(tokenView(found));
    await appendAudit(trx, context, {
      actor,
      event: found.kind === 'enrolment' ? 'enrolment_token.revoked' : 'token.revoked',
      subjectKind: found.kind === 'enrolment' ? 'enrolment_token' : 'token',
      subject: id,
      before: { name: found.name },
    });
    return answer(tokenView(revoked));
  });
}

export interface EnrolmentGrant {
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
}

/** The secret part of an enrolment token as pasted; null when it is not one. */
export function enrolmentSecret(text: string): string | null {
  return new RegExp(enrolmentTokenPattern).test(text) ? text.slice('fxe_'.length, text.indexOf('.')) : null;
}

/** Checks an enrolment token and locks it until the transaction ends; {@link takeEnrolmentUse} then uses it up by one. */
export async function checkEnrolmentToken(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  secret: string,
): Promise<Answer<EnrolmentGrant & { readonly usesLeft: number }>> {
  const whatToDo = 'make another one: fixpoint enroll, POST /api/v1/enrolment-tokens';
  const row = await lockEnrolmentToken(trx, hashSecret(secret));
  if (row === null) {
    return refuse(
      401,
      'enrolment_token_unknown',
      'there is no such enrolment token on this server',
      whatToDo,
    );
  }
  if (row.revoked_at !== null) {
    return refuse(401, 'enrolment_token_revoked', `the enrolment token ${row.name} was revoked`, whatToDo);
  }
  if (row.expires_at <= context.clock.now()) {
    return refuse(401, 'enrolment_token_expired', `the enrolment token ${row.name} has expired`, whatToDo);
  }
  return answer({ id: row.id, name: row.name, tags: row.tags, usesLeft: row.uses_left ?? 0 });
}

/** Uses a token that {@link checkEnrolmentToken} has locked. */
export async function takeEnrolmentUse(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  grant: EnrolmentGrant & { readonly usesLeft: number },
): Promise<Answer<null>> {
  if (grant.usesLeft < 1) {
    return refuse(
      401,
      'enrolment_token_used_up',
      `as many hosts as the enrolment token ${grant.name} is for have enrolled`,
      'make another one: fixpoint enroll, POST /api/v1/enrolment-tokens',
    );
  }
  await takeUse(trx, grant.id, context.clock.now());
  return answer(null);
}

/**
 * The token by which whoever owns the data folder administers the server from the same machine. `existing` is what the
 * file holds; the answer is what it should hold.
 */
export async function operatorToken(
  context: Context,
  permissions: readonly Permission[],
  existing: string | null,
): Promise<string> {
  return await transact(context.db, async (trx) => {
    await lockKeys(trx);
    const row = existing === null ? null : await tokenByHash(trx, 'tool', hashSecret(existing));
    if (
      existing !== null &&
      row !== null &&
      row.revoked_at === null &&
      row.expires_at > context.clock.now()
    ) {
      return existing;
    }
    const created = await addToolToken(
      trx,
      context,
      { kind: 'system', name: 'server' },
      {
        name: 'owner-of-data-folder',
        permissions: [...permissions],
        expires_in_days: 3650,
      },
    );
    return created.secret;
  });
}
