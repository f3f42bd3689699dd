import { Kysely, PostgresDialect } from 'kysely';
import { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Database } from './tables.ts';

export interface ConnectOptions {
  /** As `Cluster.url`. */
  readonly url: string;
  readonly log: Logger;
  /** Default 20. The embedded PostgreSQL takes 100 in all. */
  readonly maximumConnections?: number;
}

/** The database as the server uses it. Close it before its cluster is stopped. */
export interface Connection {
  readonly db: Kysely<Database>;
  /** What `db` runs on, for COPY and LISTEN, which Kysely does not know. */
  readonly pool: Pool;
  /** Waits for running queries and closes every connection. Idempotent. */
  readonly close: () => Promise<void>;
}

/** Opens a pool of connections. It connects when first used, and again after the database was away. */
export function connect(options: ConnectOptions): Connection {
  const { url, log, maximumConnections = 20 } = options;
  let closed: Promise<void> | undefined;
  const pool = new Pool({
    connectionString: url,
    max: maximumConnections,
    connectionTimeoutMillis: 15_000,
    application_name: 'fixpoint',
  });
  // Without a listener, the end of an idle connection (PostgreSQL restarted) would end this process.
  // While closing, the database may end a connection before we do. (The error carries the whole client: not for a log.)
  pool.on('error', (error) => {
    if (closed === undefined) log.warn({ reason: error.message }, 'lost an idle connection to the database');
  });
  // The pool listens to idle connections only. One that is in use and waits, as a sync's does for its turn to end, would end
  // this process as well; whoever uses it hears of it at the next query.
  pool.on('connect', (client) => {
    client.on('error', (error) => {
      if (closed === undefined) log.debug({ reason: error.message }, 'a connection to the database ended');
    });
  });
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    pool,
    close: () => (closed ??= db.destroy().then(() => (pool.ended ? undefined : pool.end()))),
  };
}
