import { homedir } from 'node:os';
import { join } from 'node:path';

const set = (name: string): string | null => {
  const value = process.env[name];
  return value === undefined || value === '' ? null : value;
};

/** Where a server on this machine keeps its data: FIXPOINT_DATA, /var/lib/fixpoint for root, else the user's data folder. */
export function dataFolder(): string {
  const named = set('FIXPOINT_DATA');
  if (named !== null) return named;
  if (process.getuid?.() === 0) return '/var/lib/fixpoint';
  return join(set('XDG_DATA_HOME') ?? join(homedir(), '.local', 'share'), 'fixpoint');
}

/** The stored sign-in of this user. */
export function signInFile(): string {
  return join(set('XDG_CONFIG_HOME') ?? join(homedir(), '.config'), 'fixpoint', 'login.json');
}
