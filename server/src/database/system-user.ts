import { readFileSync, statSync } from 'node:fs';
import { DatabaseError, errorCode } from './database-error.ts';

/** Who PostgreSQL runs as, when it is not us. */
export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root. For root this picks the owner of an existing data folder, else the user `postgres`,
 * else `nobody`; for anybody else undefined: PostgreSQL then simply runs as the same user.
 */
export function postgresUser(existingFolder: string): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  try {
    const owner = statSync(existingFolder);
    if (owner.uid !== 0) return { name: `user ${owner.uid}`, uid: owner.uid, gid: owner.gid };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new DatabaseError(
    'no_user_for_postgres',
    'PostgreSQL refuses to run as root, and this machine has neither a user "postgres" nor "nobody"',
    'create a user "postgres", or run Fixpoint as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own',
  );
}
