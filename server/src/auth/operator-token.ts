import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { permissions } from '@fixpoint/contract/access.ts';
import type { Context } from '../context.ts';
import { errorCode } from '../database/database-error.ts';
import { operatorToken } from './commands.ts';

/** In the data folder: lets its owner use the command line without signing in. Only the owner can read it. */
export const operatorTokenFile = 'operator-token';

/** Makes sure that the file is there and opens this server; made once, and again if somebody revoked it or it expired. */
export async function writeOperatorToken(context: Context, dataFolder: string): Promise<string> {
  const file = join(dataFolder, operatorTokenFile);
  const existing = readExisting(file);
  const secret = await operatorToken(context, permissions, existing);
  if (secret !== existing) {
    mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
    // Written beside it and moved, so that nobody reads half of it; exclusive, so that nobody else’s file is written to.
    const fresh = `${file}.${context.random.uuid()}`;
    writeFileSync(fresh, `${secret}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(fresh, file);
  }
  chmodSync(file, 0o600);
  return file;
}

function readExisting(file: string): string | null {
  try {
    const text = readFileSync(file, 'utf8').trim();
    return text === '' ? null : text;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
