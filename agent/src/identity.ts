import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';

/** Ed25519 (RFC 8032) keys as the contract writes them: raw, base64url without padding. */

/** A new private key as PKCS #8 PEM. */
export function createKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

export interface Identity {
  /** Raw public key, base64url. */
  readonly publicKey: string;
  /** Signature over the UTF-8 bytes of the text, base64url. */
  sign(text: string): string;
}

/** The agent's key from its PEM. Throws when it is no Ed25519 key. */
export function readIdentity(pem: string): Identity {
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError('the key is not an Ed25519 key');
  return {
    publicKey: rawPublicKey(createPublicKey(privateKey)),
    sign: (text) => sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64url'),
  };
}

function rawPublicKey(key: KeyObject): string {
  const jwk: unknown = key.export({ format: 'jwk' });
  if (typeof jwk === 'object' && jwk !== null && 'x' in jwk && typeof jwk.x === 'string') return jwk.x;
  throw new TypeError('the key has no raw form');
}

/** Whether `signature` (base64url) over the UTF-8 bytes of `text` is by `publicKey` (raw, base64url). Never throws. */
export function verifySignature(publicKey: string, text: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
    return verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}

/** First 16 bytes of SHA-256 over the raw key, base64url: what an enrolment token says of its server. */
export function keyFingerprint(publicKey: string): string {
  return createHash('sha256')
    .update(Buffer.from(publicKey, 'base64url'))
    .digest()
    .subarray(0, 16)
    .toString('base64url');
}

/** SHA-256 of the text's UTF-8 bytes, lower-case hex. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
