/** `npm run schema`: writes schema.sql beside this file, from a fresh database with every migration. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemRandom } from '../random.ts';
import { openCluster } from './cluster.ts';
import { connect } from './database.ts';
import { migrate } from './migrate.ts';
import { describeSchema } from './schema.ts';

const log = pino({ level: 'warn' });
const dataFolder = mkdtempSync(join(tmpdir(), 'fixpoint-schema-'));
const cluster = await openCluster({ dataFolder, log, random: systemRandom });
const { pool, close } = connect({ url: cluster.url, log });
try {
  await migrate(pool, { log });
  const client = await pool.connect();
  const file = join(import.meta.dirname, 'schema.sql');
  writeFileSync(file, await describeSchema(client));
  client.release();
  console.log(`schema: wrote ${file}`);
} finally {
  await close();
  await cluster.stop();
  rmSync(dataFolder, { recursive: true, force: true });
}
