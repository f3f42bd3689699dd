import { sign, verify, type KeyObject } from 'node:crypto';

/**
 * What an agent shows to a distribution point: `fxd.ASSET.POINT.EXPIRY.SIGNATURE`, signed by the server's Ed25519 key over
 * `fixpoint-distribution-v1\n{ASSET}\n{POINT}\n{EXPIRY}`, EXPIRY in milliseconds since 1970 in base 36. A point checks it with the
 * public key alone, and it is good for one point only: one that somebody has taken over cannot use it at another.
 */

export const ticketSeconds = 3_600;

const text = (asset: string, point: string, expiry: string): Buffer =>
  Buffer.from(`fixpoint-distribution-v1\n${asset}\n${point}\n${expiry}`, 'utf8');

export function issueTicket(
  privateKey: KeyObject,
  now: Date,
  asset: string,
  point: string,
): { readonly ticket: string; readonly expiresAt: Date } {
  const expiresAt = new Date(now.getTime() + ticketSeconds * 1000);
  const expiry = expiresAt.getTime().toString(36);
  const signature = sign(null, text(asset, point, expiry), privateKey).toString('base64url');
  return { ticket: ['fxd', asset, point, expiry, signature].join('.'), expiresAt };
}

/** Whether the ticket is one for this asset at this point, by the server that has this key, and not over. */
export function isTicket(
  publicKey: KeyObject,
  now: Date,
  ticket: string,
  asset: string,
  point: string,
): boolean {
  if (ticket.length > 500) return false;
  const [kind, forAsset, forPoint, expiry, signature, ...more] = ticket.split('.');
  if (kind !== 'fxd' || expiry === undefined || signature === undefined || more.length > 0) return false;
  if (forAsset !== asset || forPoint !== point || !/^[0-9a-z]{1,12}$/u.test(expiry)) return false;
  if (Number.parseInt(expiry, 36) <= now.getTime()) return false;
  return verify(null, text(asset, point, expiry), publicKey, Buffer.from(signature, 'base64url'));
}

/** The parts of `Basic` credentials (RFC 7617); null when they are none. */
export function readBasic(header: string | undefined): { user: string; password: string } | null {
  const encoded = /^Basic ([A-Za-z0-9+/_=-]{1,4096})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? null : { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
