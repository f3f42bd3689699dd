import { verify, type KeyObject } from 'node:crypto';
import { publicKeyOf } from '../auth/keys.ts';

/** Parsing a key costs more than using it; these are the ones used last. */
const keys = new Map<string, KeyObject>();
const keptKeys = 20_000;

function keyOf(publicKey: string): KeyObject {
  let key = keys.get(publicKey);
  if (key !== undefined) return key;
  key = publicKeyOf(publicKey);
  if (keys.size >= keptKeys) keys.delete(keys.keys().next().value ?? '');
  keys.set(publicKey, key);
  return key;
}

/** Whether an Ed25519 signature (base64url) of a text is by this key; computed off the event loop. */
export async function isSignedBy(publicKey: string, text: string, signature: string): Promise<boolean> {
  const key = keyOf(publicKey);
  return await new Promise((resolve) => {
    verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64url'), (error, valid) =>
      resolve(error === null && valid),
    );
  });
}
