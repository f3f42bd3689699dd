import { readFileSync } from 'node:fs';

/** Of the product, as the root package.json has it. */
export const version: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const value: unknown = JSON.parse(text);
  if (typeof value === 'object' && value !== null && 'version' in value) return String(value.version);
  throw new Error('package.json names no version');
}
