import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import type { Kysely } from 'kysely';
import type { SignedOrder } from '@fixpoint/contract/order.ts';
import type { Context } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { currentKeys, insertKeys, lockKeys } from './store.ts';

/** The server's own keys, loaded once at start. */
export interface ServerKeys {
  readonly order: {
    readonly id: string;
    readonly privateKey: KeyObject;
    /** base64url of the raw 32 bytes. */
    readonly publicKey: string;
    /** base64url of the first 16 bytes of SHA-256 over the raw public key; stands in enrolment tokens. */
    readonly fingerprint: string;
  };
  /** Signs bundles of feeds for sites without a network. */
  readonly bundle: {
    readonly id: string;
    readonly privateKey: KeyObject;
    /** base64url of the raw 32 bytes. */
    readonly publicKey: string;
  };
  /** HMAC keys, each for one purpose only, all derived from one stored secret. */
  readonly agentSessionSecret: Buffer;
  readonly challengeSecret: Buffer;
  readonly peopleSecret: string;
}

/**
 * Loads the keys that orders and sessions are signed with, and makes them on the first start. They are in the database
 * so that all replicas have the same ones: who can read the database can sign orders, so guard its backups accordingly.
 */
export async function loadKeys(
  db: Kysely<Database>,
  context: Pick<Context, 'clock' | 'random'>,
): Promise<ServerKeys> {
  const rows = await db.transaction().execute(async (trx) => {
    await lockKeys(trx);
    const existing = await currentKeys(trx);
    const missing = [];
    const created_at = context.clock.now();
    for (const purpose of ['order', 'bundle'] as const) {
      if (existing.some((row) => row.purpose === purpose)) continue;
      const pair = generateKeyPairSync('ed25519');
      missing.push({
        id: `${purpose}-${context.random.uuid().slice(0, 8)}`,
        purpose,
        public_key: rawPublicKey(pair.publicKey),
        private_key: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
        created_at,
      });
    }
    if (!existing.some((row) => row.purpose === 'session')) {
      missing.push({
        id: `session-${context.random.uuid().slice(0, 8)}`,
        purpose: 'session',
        public_key: null,
        private_key: Buffer.from(context.random.bytes(32)).toString('base64url'),
        created_at,
      });
    }
    if (missing.length > 0) await insertKeys(trx, missing);
    return [...existing, ...missing];
  });
  const order = rows.findLast((row) => row.purpose === 'order');
  const bundle = rows.findLast((row) => row.purpose === 'bundle');
  const session = rows.findLast((row) => row.purpose === 'session');
  if (order === undefined || bundle === undefined || session === undefined)
    throw new Error('server keys were not stored');
  const privateKey = createPrivateKey(order.private_key);
  const publicKey = rawPublicKey(createPublicKey(privateKey));
  const bundleKey = createPrivateKey(bundle.private_key);
  const secret = Buffer.from(session.private_key, 'base64url');
  const derive = (purpose: string) => createHmac('sha256', secret).update(`fixpoint-${purpose}-v1`).digest();
  return {
    order: {
      id: order.id,
      privateKey,
      publicKey,
      fingerprint: createHash('sha256')
        .update(Buffer.from(publicKey, 'base64url'))
        .digest()
        .subarray(0, 16)
        .toString('base64url'),
    },
    bundle: {
      id: bundle.id,
      privateKey: bundleKey,
      publicKey: rawPublicKey(createPublicKey(bundleKey)),
    },
    agentSessionSecret: derive('agent-session'),
    challengeSecret: derive('challenge'),
    peopleSecret: derive('people').toString('base64url'),
  };
}

/** Signs the JSON text of an order as contract/src/order.ts says: over `fixpoint-order-v1\n` + payload. */
export function signOrder(keys: ServerKeys, payload: string): SignedOrder {
  return signed(keys, 'fixpoint-order-v1', payload);
}

/** The same of a question to a package manager, as contract/src/simulation.ts says: neither can stand for the other. */
export function signSimulation(keys: ServerKeys, payload: string): SignedOrder {
  return signed(keys, 'fixpoint-simulation-v1', payload);
}

function signed(keys: ServerKeys, domain: string, payload: string): SignedOrder {
  const signature = sign(null, Buffer.from(`${domain}\n${payload}`, 'utf8'), keys.order.privateKey);
  return { key_id: keys.order.id, payload, signature: signature.toString('base64url') };
}

/** base64url of the raw 32 bytes of an Ed25519 public key: the last 32 bytes of its SubjectPublicKeyInfo (RFC 8410). */
export function rawPublicKey(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64url');
}

/** SubjectPublicKeyInfo of Ed25519 up to the key itself (RFC 8410 section 10.1). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** The other way round. Any 32 bytes make a KeyObject; a wrong one verifies nothing. */
export function publicKeyOf(raw: string): KeyObject {
  return createPublicKey({
    key: Buffer.concat([spkiPrefix, Buffer.from(raw, 'base64url')]),
    format: 'der',
    type: 'spki',
  });
}
