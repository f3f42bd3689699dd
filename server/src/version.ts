import { readFileSync } from 'node:fs';

/** The version of this server, from its package.json. */
export const version: string = readVersion();

function readVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  if (typeof parsed !== 'object' || parsed === null || !('version' in parsed)) throw new Error('no version');
  return String(parsed.version);
}
