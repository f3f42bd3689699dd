import type { Kysely, Transaction } from 'kysely';
import type { Logger } from 'pino';
import type { Database } from './database/tables.ts';

/** Tells the time; handed to everything, so that tests can move it. */
export interface Clock {
  now(): Date;
}

/** Source of identifiers and secrets; handed in for the same reason. */
export interface Random {
  uuid(): string;
  bytes(length: number): Uint8Array;
}

/** What every command is given. */
export interface Context {
  readonly db: Kysely<Database>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export type Transact = Transaction<Database>;
