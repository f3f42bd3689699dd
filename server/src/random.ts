import { randomBytes, randomUUID } from 'node:crypto';
import type { Random } from './context.ts';

/** The operating system's randomness: the only place of the server that asks for it. */
export const systemRandom: Random = { uuid: () => randomUUID(), bytes: (length) => randomBytes(length) };
