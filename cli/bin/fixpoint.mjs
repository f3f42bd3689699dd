/**
 * Entry of the command line. Plain JavaScript on purpose: Node takes about 45 ms to set up its TypeScript stripper for an
 * entry file, and nothing for files that come out of the compile cache, which has to be switched on before the first.
 */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

// The user's own folder: a cache in a shared /tmp would let others choose what code this account runs.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'fixpoint', 'compiled'));
await import('../src/main.ts');
