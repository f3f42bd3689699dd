import { argon2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { betterAuth } from 'better-auth';
import { admin, bearer } from 'better-auth/plugins';
import { createAccessControl } from 'better-auth/plugins/access';
import type { Kysely } from 'kysely';
import { roles, type Role } from '@fixpoint/contract/access.ts';
import type { ServerContext } from '../app.ts';
import type { Context } from '../context.ts';
import type { Database } from '../database/tables.ts';

/** People’s accounts and sessions: the only file that knows the library which keeps them. */

const derive = promisify(argon2);

/** Argon2id with the least parameters that OWASP's Password Storage Cheat Sheet recommends: 19 MiB, 2 passes, 1 lane. */
const cost = { memory: 19_456, passes: 2, parallelism: 1 } as const;

const unpadded = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '');

/** A hash in the PHC string format: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. */
async function hashPassword(password: string, salt: Uint8Array): Promise<string> {
  const hash = await derive('argon2id', { message: password, nonce: salt, tagLength: 32, ...cost });
  return `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
}

async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const parts = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
    stored,
  );
  if (parts === null) return false;
  const [, memory, passes, parallelism, salt = '', hash = ''] = parts;
  const expected = Buffer.from(hash, 'base64');
  const got = await derive('argon2id', {
    message: password,
    nonce: Buffer.from(salt, 'base64'),
    tagLength: expected.length,
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
  });
  return timingSafeEqual(got, expected);
}

const accessControl = createAccessControl({ fixpoint: ['use'] });
const role = accessControl.newRole({ fixpoint: ['use'] });
// What a role may do is contract/src/access.ts; the library only needs to know that the roles exist.
const libraryRoles: Record<Role, typeof role> = { administrator: role, operator: role, viewer: role };

export const sessionHours = 12;

function library(
  db: Kysely<Database>,
  context: Pick<Context, 'random'> & { readonly keys: ServerContext['keys'] },
) {
  return betterAuth({
    appName: 'Fixpoint',
    // Only used for links in mail and for callbacks, of which there are none.
    baseURL: 'http://localhost',
    secret: context.keys.peopleSecret,
    database: { db, type: 'postgres' },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: 12,
      maxPasswordLength: 256,
      password: {
        hash: (password) => hashPassword(password, context.random.bytes(16)),
        verify: ({ password, hash }) => verifyPassword(password, hash),
      },
    },
    session: { expiresIn: sessionHours * 3600, updateAge: 3600 },
    // Requests are limited and their origin is checked by app.ts and guard.ts before the library is called.
    rateLimit: { enabled: false },
    // Asked of a pool, once; a transaction cannot be asked, and need not be.
    advanced: { database: { validateSchema: !db.isTransaction } },
    telemetry: { enabled: false },
    logger: { disabled: true },
    plugins: [
      admin({ ac: accessControl, roles: libraryRoles, defaultRole: 'viewer', adminRoles: ['administrator'] }),
      // A session's text carries a signature, so that reading the session table alone opens nothing.
      bearer({ requireSignature: true }),
    ],
  });
}

/** One for a database connection pool; another is made for each transaction that writes through the library. */
const pooled = new WeakMap<Kysely<Database>, ReturnType<typeof library>>();
function libraryOf(context: Pick<ServerContext, 'db' | 'keys' | 'random'>): ReturnType<typeof library> {
  let found = pooled.get(context.db);
  if (found === undefined) {
    found = library(context.db, context);
    pooled.set(context.db, found);
  }
  return found;
}

export interface SignedInPerson {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
}

/** Unknown roles see nothing more than a viewer. */
export const roleOf = (text: string | null | undefined): Role =>
  roles.find((known) => known === text) ?? 'viewer';

/** The person of a session, or null when there is no such session (any more). */
export async function sessionPerson(
  context: Pick<ServerContext, 'db' | 'keys' | 'random'>,
  session: string,
): Promise<SignedInPerson | null> {
  const found = await libraryOf(context).api.getSession({
    headers: new Headers({ authorization: `Bearer ${session}` }),
    query: { disableRefresh: false },
  });
  if (found === null || found.user.banned === true) return null;
  const { id, email, name } = found.user;
  return { id, email, name, role: roleOf(found.user.role) };
}

/** Opens a session for whoever knows the password; null when e-mail address or password are not right. */
export async function openSession(
  db: Kysely<Database>,
  context: Pick<ServerContext, 'keys' | 'random'>,
  request: { readonly email: string; readonly password: string; readonly userAgent: string },
): Promise<{ session: string; expiresAt: Date; person: SignedInPerson } | null> {
  const auth = library(db, context);
  try {
    const { headers, response } = await auth.api.signInEmail({
      body: { email: request.email, password: request.password },
      headers: new Headers({ 'user-agent': request.userAgent }),
      returnHeaders: true,
    });
    const session = decodeURIComponent(headers.get('set-auth-token') ?? '');
    if (session === '') throw new Error('the library of accounts opened a session without saying which');
    const stored = await db
      .selectFrom('session')
      .innerJoin('user', 'user.id', 'session.userId')
      .select(['session.expiresAt', 'user.role'])
      .where('session.token', '=', response.token)
      .executeTakeFirstOrThrow();
    const { id, email, name } = response.user;
    return { session, expiresAt: stored.expiresAt, person: { id, email, name, role: roleOf(stored.role) } };
  } catch (error) {
    const status = error instanceof Error && 'statusCode' in error ? error.statusCode : null;
    if (status === 400 || status === 401 || status === 403) return null;
    throw error;
  }
}

/** Sets a new password for whoever has this session and knows the current one; false when that is wrong. */
export async function replacePassword(
  db: Kysely<Database>,
  context: Pick<ServerContext, 'keys' | 'random'>,
  session: string,
  passwords: { readonly current: string; readonly next: string },
): Promise<boolean> {
  try {
    await library(db, context).api.changePassword({
      headers: new Headers({ authorization: `Bearer ${session}` }),
      body: { currentPassword: passwords.current, newPassword: passwords.next, revokeOtherSessions: false },
    });
    return true;
  } catch (error) {
    if (codeOf(error) === 'INVALID_PASSWORD') return false;
    throw error;
  }
}

/** What the session table calls a session: the part of its text before the signature. */
export const storedToken = (session: string) => session.split('.')[0] ?? '';

/** The library's name of what went wrong. */
function codeOf(error: unknown): unknown {
  return error instanceof Error &&
    'body' in error &&
    typeof error.body === 'object' &&
    error.body !== null &&
    'code' in error.body
    ? error.body.code
    : null;
}

/** Ends a session; ending one that is over is no error. */
export async function closeSession(
  context: Pick<ServerContext, 'db' | 'keys' | 'random'>,
  session: string,
): Promise<void> {
  await libraryOf(context).api.signOut({ headers: new Headers({ authorization: `Bearer ${session}` }) });
}

/** Creates a person who can sign in; null when the e-mail address is taken. */
export async function storePerson(
  db: Kysely<Database>,
  context: Pick<ServerContext, 'keys' | 'random'>,
  person: { readonly email: string; readonly name: string; readonly role: Role; readonly password: string },
): Promise<{ id: string; createdAt: Date } | null> {
  const auth = library(db, context);
  try {
    const created = await auth.api.createUser({ body: { ...person } });
    return { id: created.user.id, createdAt: created.user.createdAt };
  } catch (error) {
    if (codeOf(error) === 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL') return null;
    throw error;
  }
}
