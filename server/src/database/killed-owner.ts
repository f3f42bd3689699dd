/**
 * A server in small, for cluster.test.ts to kill: opens the cluster of the folder it is given, prints its PostgreSQL's
 * process number, then commits one row after the other and prints each when it is committed.
 */
import { Client } from 'pg';
import { pino } from 'pino';
import { systemRandom } from '../random.ts';
import { openCluster } from './cluster.ts';

const [dataFolder = ''] = process.argv.slice(2);
const cluster = await openCluster({ dataFolder, log: pino({ level: 'silent' }), random: systemRandom });
console.log(`postgres ${cluster.postmaster?.pid}`);
const client = new Client({ connectionString: cluster.url });
await client.connect();
await client.query('create table if not exists kept (id integer primary key)');
const { rows } = await client.query<{ last: number }>('select coalesce(max(id), 0) as last from kept');
for (let id = (rows[0]?.last ?? 0) + 1; ; id++) {
  await client.query('insert into kept values ($1)', [id]);
  console.log(`kept ${id}`);
}
