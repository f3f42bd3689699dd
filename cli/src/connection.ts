import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dataFolder, signInFile } from './data-folder.ts';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { codeOf } from './output/stream.ts';

/** Which server, and as whom. */
export interface Connection {
  /** Origin without a slash at the end: `http://127.0.0.1:8420`. */
  readonly server: string;
  readonly credential: string | null;
  /** For messages: where the credential came from. */
  readonly credentialFrom: string;
}

export interface ConnectionOptions {
  readonly server?: string | undefined;
  readonly token?: string | undefined;
}

export const defaultServer = 'http://127.0.0.1:8420';

interface SignIn {
  readonly server: string;
  readonly session: string;
  readonly expires_at: string;
  readonly email: string;
}

/**
 * Options before environment before the stored sign-in before the token of a server on this machine. A credential is only
 * ever sent to the server that it belongs to: the stored session to its own, the operator's token to this machine.
 */
export function connection(options: ConnectionOptions): Connection {
  const named = options.server ?? present(process.env['FIXPOINT_SERVER']);
  const token = options.token ?? present(process.env['FIXPOINT_TOKEN']);
  const signIn = readSignIn();
  const server = origin(named ?? signIn?.server ?? localServer() ?? defaultServer);
  if (token !== undefined) {
    return {
      server,
      credential: token,
      credentialFrom: options.token === undefined ? 'FIXPOINT_TOKEN' : '--token',
    };
  }
  if (signIn !== null && origin(signIn.server) === server) {
    return { server, credential: signIn.session, credentialFrom: `the sign-in of ${signIn.email}` };
  }
  if (isLoopback(server)) {
    const file = join(dataFolder(), 'operator-token');
    const operator = readText(file);
    if (operator !== null) return { server, credential: operator.trim(), credentialFrom: file };
  }
  return { server, credential: null, credentialFrom: 'nowhere' };
}

const present = (value: string | undefined): string | undefined => (value === '' ? undefined : value);

/** Written by `fixpoint up` while it runs on another address than the default. */
export function localServerFile(): string {
  return join(dataFolder(), 'server-url');
}

function localServer(): string | null {
  return readText(localServerFile())?.trim() ?? null;
}

function origin(text: string): string {
  try {
    const url = new URL(/^[a-z]+:\/\//iu.test(text) ? text : `http://${text}`);
    if (url.protocol === 'http:' || url.protocol === 'https:') return url.origin;
  } catch {
    // Falls through to the refusal.
  }
  throw new Failure(
    exitCodes.usage,
    'server_address',
    `${JSON.stringify(text)} is not the address of a server`,
    'Write it like https://fixpoint.example.org or http://127.0.0.1:8420.',
  );
}

function isLoopback(server: string): boolean {
  const { hostname } = new URL(server);
  // Four numbers: a name such as 127.0.0.1.example.org is somebody else.
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/u.test(hostname);
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // Another account's file is none of ours: the command goes on without it and is told what it lacks.
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(codeOf(error))) return null;
    throw error;
  }
}

function readSignIn(): SignIn | null {
  const text = readText(signInFile());
  if (text === null) return null;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { server, session, expires_at, email } = value as Partial<Record<keyof SignIn, unknown>>;
    if (typeof server !== 'string' || typeof session !== 'string' || typeof email !== 'string') return null;
    return { server, session, email, expires_at: typeof expires_at === 'string' ? expires_at : '' };
  } catch {
    return null;
  }
}

/** Keeps a session for the commands that follow; only this user can read it. */
export function storeSignIn(signIn: SignIn): string {
  const file = signInFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const apart = `${file}.${String(process.pid)}`;
  rmSync(apart, { force: true });
  writeFileSync(apart, `${JSON.stringify(signIn, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(apart, file);
  return file;
}

/** The server and person signed in at before; null when nobody was. */
export function forgetSignIn(): {
  readonly server: string;
  readonly email: string;
  readonly session: string;
} | null {
  const known = readSignIn();
  rmSync(signInFile(), { force: true });
  return known;
}
