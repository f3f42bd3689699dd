import type {
  EnrollRequest,
  EnrollResponse,
  SessionRequest,
  SessionResponse,
} from '@fixpoint/contract/agent.ts';
import type { Static } from 'typebox';
import type { ServerContext } from '../app.ts';
import { appendAudit, appendAudits, type NewAuditEvent } from '../audit/commands.ts';
import { issueAgentSession, type Challenges } from '../auth/agent-session.ts';
import {
  checkEnrolmentToken,
  enrolmentSecret,
  takeEnrolmentUse,
  type EnrolmentGrant,
} from '../auth/commands.ts';
import type { Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { tagEnrolledAsset } from '../tag/members.ts';
import { transact } from '../transact.ts';
import { isSignedBy } from './signature.ts';
import { assetByPublicKey, assetKey, insertAsset, updateAsset, type AssetRow } from './store.ts';

type Enrolment = Static<typeof EnrollRequest>;

/**
 * Makes a host an asset. Whoever enrols shows a token of this server, and that it holds the private key of the public key
 * that it enrols with. The same key again is the same asset, so an answer that got lost can be asked for again.
 */
export async function enrol(
  context: ServerContext,
  authorization: string | undefined,
  request: Enrolment,
): Promise<Answer<EnrollResponse>> {
  const token = /^Bearer (\S{1,256})$/i.exec(authorization ?? '')?.[1] ?? '';
  const secret = enrolmentSecret(token);
  const makeOne =
    'make one: fixpoint enroll, POST /api/v1/enrolment-tokens, and send it as "Authorization: Bearer fxe_…"';
  if (secret === null) {
    return refuse(
      401,
      'enrolment_token_malformed',
      'no enrolment token came with the request, or only part of one',
      makeOne,
    );
  }
  if (!token.endsWith(`.${context.keys.order.fingerprint}`)) {
    return refuse(
      401,
      'enrolment_token_other_server',
      'this enrolment token was made by another server',
      makeOne,
    );
  }
  // Only the secret's holder could have signed this, so it says nothing about the token to anybody else.
  const proved = await isSignedBy(request.public_key, `fixpoint-enroll-v1\n${secret}`, request.proof);
  return await transact(context.db, async (trx) => {
    const checked = await checkEnrolmentToken(trx, context, secret);
    if (!checked.ok) return await refused(trx, context, request, checked);
    const grant = checked.value;
    if (!proved) {
      return await refused(
        trx,
        context,
        request,
        refuse(
          401,
          'proof_invalid',
          'the signature that should prove possession of the key does not',
          'sign "fixpoint-enroll-v1\\n" and the secret part of the token with the private key; see docs/agent-protocol.md',
        ),
        grant,
      );
    }
    const existing = await assetByPublicKey(trx, request.public_key);
    const isBack = existing !== null && existing.retired_at === null;
    if (!isBack) {
      const taken = await takeEnrolmentUse(trx, context, grant);
      if (!taken.ok) return await refused(trx, context, request, taken, grant);
    }
    // Who only asks again for an answer that got lost has taken no use of the token, and gets nothing new by it.
    const uid = await store(trx, context, request, isBack ? { ...grant, tags: [] } : grant, existing);
    return answer({
      asset_id: uid,
      server_key: { key_id: context.keys.order.id, public_key: context.keys.order.publicKey },
    });
  });
}

async function store(
  trx: Transact,
  context: ServerContext,
  request: Enrolment,
  grant: EnrolmentGrant,
  existing: AssetRow | null,
): Promise<string> {
  const { hostname, os, os_release, arch, agent_version, mode } = request;
  const facts = { hostname, os, os_release, arch, agent_version, mode };
  const uid = existing?.uid ?? context.random.uuid();
  const events: NewAuditEvent[] = [
    {
      actor: { kind: 'agent', name: uid },
      event: 'asset.enrolled',
      subjectKind: 'asset',
      subject: uid,
      reason: `with the enrolment token ${grant.name}`,
      before:
        existing === null
          ? null
          : { hostname: existing.hostname, mode: existing.mode, retired: existing.retired_at !== null },
      after: { ...facts, enrolment_token: grant.id, public_key: request.public_key },
    },
  ];
  let assetId = existing?.id;
  if (assetId === undefined) {
    assetId = await insertAsset(trx, {
      uid,
      ...facts,
      public_key: request.public_key,
      enrolled_at: context.clock.now(),
      enrolled_by: grant.name,
    });
  } else {
    await updateAsset(trx, assetId, { ...facts, retired_at: null });
  }
  events.push(
    ...(await tagEnrolledAsset(trx, context, { kind: 'agent', name: uid }, { assetId, uid }, grant.tags)),
  );
  await appendAudits(trx, context, events);
  return uid;
}

/** A refusal on the trail. Tokens that there never were are not: anybody could fill the trail with them. */
async function refused(
  trx: Transact,
  context: ServerContext,
  request: Enrolment,
  refusal: Refusal,
  grant?: EnrolmentGrant,
): Promise<Refusal> {
  if (refusal.code === 'enrolment_token_unknown') {
    context.log.warn({ hostname: request.hostname }, 'an unknown enrolment token was refused');
    return refusal;
  }
  await appendAudit(trx, context, {
    actor: { kind: 'agent', name: request.hostname },
    event: 'asset.enrolment_refused',
    subjectKind: 'host',
    subject: request.hostname,
    reason: refusal.message,
    after: { code: refusal.code, enrolment_token: grant?.id ?? null },
  });
  return refusal;
}

/** Opens a session for an agent that signs a challenge with its key. */
export async function openAgentSession(
  context: ServerContext,
  challenges: Challenges,
  request: SessionRequest,
): Promise<Answer<SessionResponse>> {
  const uid = request.asset_id.toLowerCase();
  const again = 'ask for another challenge: POST /agent/v1/challenge';
  const state = challenges.use(uid, request.challenge);
  if (state === 'expired')
    return refuse(401, 'challenge_expired', 'the challenge is older than a minute', again);
  if (state === 'used')
    return refuse(401, 'challenge_used', 'the challenge has been answered already', again);
  if (state === 'unknown') {
    return refuse(401, 'challenge_unknown', 'this server did not give this asset that challenge', again);
  }
  const asset = await assetKey(context.db, uid);
  const signed =
    asset !== null &&
    (await isSignedBy(
      asset.public_key,
      `fixpoint-session-v1\n${request.asset_id}\n${request.challenge}`,
      request.signature,
    ));
  if (!signed) {
    return refuse(
      401,
      'session_refused',
      'there is no such asset, or the signature is not by its key',
      'enrol this host again if its key or its id was lost',
    );
  }
  if (asset.retired_at !== null) {
    return refuse(
      401,
      'asset_retired',
      'this host is retired from Fixpoint',
      'enrol it again if it should be managed',
    );
  }
  const { session, expiresAt } = issueAgentSession(context.keys, context, { assetId: asset.id, uid });
  return answer({ session, expires_at: expiresAt.toISOString() });
}
