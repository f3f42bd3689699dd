import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { Context } from '../context.ts';
import type { ServerKeys } from './keys.ts';

/**
 * Sessions and challenges of agents are signed, not stored: an unchanged check-in needs no lookup of a session, and every
 * replica accepts what another has issued. The text is `PREFIX.assetId.uid.expiry.nonce.HMAC`, without any secret in it
 * but the HMAC.
 */

export const sessionSeconds = 3600;
export const challengeSeconds = 60;
const sessionPrefix = 'fxs';
const challengePrefix = 'fxc';

/** Making the key ready costs three times what using it does. */
const readyKeys = new WeakMap<Buffer, KeyObject>();

function hmac(secret: Buffer, text: string): Buffer {
  let key = readyKeys.get(secret);
  if (key === undefined) {
    key = createSecretKey(secret);
    readyKeys.set(secret, key);
  }
  return createHmac('sha256', key).update(text).digest();
}

function seal(key: Buffer, text: string): string {
  return `${text}.${hmac(key, text).toString('base64url')}`;
}

/** The fields of a sealed text, or null when it was not sealed with this key or is not of this kind. */
function unseal(key: Buffer, prefix: string, sealed: string, fieldCount: number): string[] | null {
  const dot = sealed.lastIndexOf('.');
  if (dot < 0) return null;
  const text = sealed.slice(0, dot);
  const expected = hmac(key, text);
  const given = Buffer.from(sealed.slice(dot + 1), 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const fields = text.split('.');
  return fields.length === fieldCount && fields[0] === prefix ? fields : null;
}

/** A session for an asset that has just proved that it holds its key. */
export function issueAgentSession(
  keys: ServerKeys,
  context: Pick<Context, 'clock' | 'random'>,
  asset: { readonly assetId: number; readonly uid: string },
): { session: string; expiresAt: Date } {
  const expiresAt = new Date(context.clock.now().getTime() + sessionSeconds * 1000);
  const nonce = Buffer.from(context.random.bytes(9)).toString('base64url');
  const text = [sessionPrefix, asset.assetId, asset.uid, expiresAt.getTime().toString(36), nonce].join('.');
  return { session: seal(keys.agentSessionSecret, text), expiresAt };
}

export type AgentSession =
  | { readonly state: 'valid'; readonly assetId: number; readonly uid: string }
  | { readonly state: 'expired' }
  | { readonly state: 'unknown' };

export function readAgentSession(
  keys: ServerKeys,
  context: Pick<Context, 'clock'>,
  session: string,
): AgentSession {
  const fields = session.length > 1024 ? null : unseal(keys.agentSessionSecret, sessionPrefix, session, 5);
  if (fields === null) return { state: 'unknown' };
  const [, assetId, uid, expiry] = fields;
  if (assetId === undefined || uid === undefined || expiry === undefined) return { state: 'unknown' };
  if (Number.parseInt(expiry, 36) <= context.clock.now().getTime()) return { state: 'expired' };
  return { state: 'valid', assetId: Number(assetId), uid };
}

/** What an agent must sign to open a session. It is bound to the asset and to this minute. */
export function issueChallenge(
  keys: ServerKeys,
  context: Pick<Context, 'clock' | 'random'>,
  uid: string,
): string {
  const expiry = (context.clock.now().getTime() + challengeSeconds * 1000).toString(36);
  const nonce = Buffer.from(context.random.bytes(18)).toString('base64url');
  return seal(keys.challengeSecret, [challengePrefix, uid, expiry, nonce].join('.'));
}

export type ChallengeState = 'valid' | 'expired' | 'unknown' | 'used';

/**
 * Remembers which challenges have been answered, until they expire anyway. It is this process's memory: behind a load
 * balancer a challenge could be answered once at each replica, by somebody who reads the asset's traffic and so could
 * read the session itself.
 */
export interface Challenges {
  /** Marks a challenge as used when it is valid. */
  use(uid: string, challenge: string): ChallengeState;
}

export function challenges(keys: ServerKeys, context: Pick<Context, 'clock'>): Challenges {
  const used = new Map<string, number>();
  return {
    use(uid, challenge) {
      const fields = unseal(keys.challengeSecret, challengePrefix, challenge, 4);
      const expiry = Number.parseInt(fields?.[2] ?? '', 36);
      if (fields === null || fields[1] !== uid || Number.isNaN(expiry)) return 'unknown';
      const now = context.clock.now().getTime();
      if (expiry <= now) return 'expired';
      if (used.has(challenge)) return 'used';
      // Insertion order is about order of expiry: what has expired is at the front.
      for (const [earlier, until] of used) {
        if (until > now) break;
        used.delete(earlier);
      }
      used.set(challenge, expiry);
      return 'valid';
    },
  };
}
