/** What every suite of the lab starts with: whether this machine can run it, said once, and a way to tell how it goes. */
import { describeMissing, prerequisites } from './prerequisites.ts';

/** What this machine lacks, in words; undefined when real hosts can be booted. */
export const missing = describeMissing(await prerequisites());
if (missing !== undefined) process.stderr.write(`\n${missing}\n\n`);

/** Tells a person what the lab does. */
export const say = (line: string): void => {
  process.stdout.write(`lab: ${line}\n`);
};
