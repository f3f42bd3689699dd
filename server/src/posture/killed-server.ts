/**
 * A server without background work and carried knowledge, for killed.test.ts to kill: on the database that it is given, with every
 * room and its read model. Prints where it listens.
 */
import { pino } from 'pino';
import { buildApp } from '../app.ts';
import { openKnownAgents } from '../asset/known-agents.ts';
import { loadKeys } from '../auth/keys.ts';
import { systemClock } from '../clock.ts';
import { defaultConfig } from '../config.ts';
import { connect } from '../database/database.ts';
import { openTaskWatch } from '../deployment/task-watch.ts';
import { systemRandom } from '../random.ts';
import { rooms } from '../rooms.ts';
import { openPosture } from './open.ts';

const [url = '', dataFolder = ''] = process.argv.slice(2);
const log = pino({ level: 'error' }, pino.destination(2));
const { db, pool } = connect({ url, log });
const base = { db, clock: systemClock, random: systemRandom, log };
const posture = openPosture(base, pool);
await posture.start();
const knownAgents = openKnownAgents({ pool, log });
knownAgents.start();
const context = {
  ...base,
  posture,
  knownAgents,
  taskWatch: openTaskWatch({ db, pool, log, clock: systemClock }),
  keys: await loadKeys(db, base),
  config: defaultConfig({ dataFolder, enrolmentsPerMinute: 10_000, port: 0 }),
};
const app = await buildApp(context, { rooms });
console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
