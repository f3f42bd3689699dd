import { closeSync, openSync, readFileSync, readlinkSync, realpathSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { startBackgroundProcess } from '../run-command.ts';
import { postgresEnvironment, type Binaries } from './binaries.ts';
import { DatabaseError, errorCode } from './database-error.ts';
import { processIdentity } from './process-identity.ts';
import type { SystemUser } from './system-user.ts';

/** A running PostgreSQL server process, started by us or found. */
export interface Postmaster {
  readonly pid: number;
  readonly identity: string;
  /** Folder of its socket, or a loopback address. */
  readonly host: string;
  readonly port: number;
}

/** Where it listens: a socket in a folder, or a free port of the loopback address. */
export type Listen = { readonly socketFolder: string } | { readonly loopbackPort: number };

/** The rest of a start is recovery, which may take minutes on a large database: only silence is limited. */
const POLL_MS = 20;
const RECOVERY_LIMIT_SECONDS = 900;
const STOP_LIMIT_SECONDS = 60;
/** What PostgreSQL says while processes of a predecessor that was killed a moment ago are not quite gone. */
const STILL_DYING = /lock file "postmaster\.pid" already exists|pre-existing shared memory block/;
const STILL_DYING_ATTEMPTS = 40;
const STILL_DYING_PAUSE_MS = 250;
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

interface PidFile {
  readonly pid: number;
  readonly port: number;
  readonly socketFolder: string;
  readonly address: string;
  /** `starting`, `ready`, `stopping`, `standby`; empty in the first moments. */
  readonly status: string;
}

/** Reads `postmaster.pid` (its lines: src/include/utils/pidfile.h of PostgreSQL); undefined when there is none. */
function readPidFile(dataFolder: string): PidFile | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return {
    pid,
    port: Number(lines[3] ?? ''),
    socketFolder: lines[4]?.trim() ?? '',
    address: lines[5]?.trim() ?? '',
    status: lines[7]?.trim() ?? '',
  };
}

/** Whether a process is the server of this data folder: PostgreSQL's main process works inside its data folder. */
function servesFolder(pid: number, dataFolder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder);
  } catch (error) {
    const code = errorCode(error);
    // Not ours to look at: then it is not our user's either.
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Finds the PostgreSQL that a killed Fixpoint left behind on this data folder, and waits until it is ready. One that is
 * on its way out is waited for, and counts as none.
 */
export async function findOrphan(dataFolder: string, log: Logger): Promise<Postmaster | undefined> {
  const file = readPidFile(dataFolder);
  if (file === undefined || !servesFolder(file.pid, dataFolder)) return undefined;
  const identity = processIdentity(file.pid);
  if (identity === undefined) return undefined;
  log.info({ pid: file.pid }, 'PostgreSQL still runs from before; taking it over');
  return await whenReady(dataFolder, file.pid, identity, log);
}

/** Waits for `ready`; undefined when the process ends instead. */
async function whenReady(
  dataFolder: string,
  pid: number,
  identity: string,
  log: Logger,
): Promise<Postmaster | undefined> {
  for (let polls = 0; processIdentity(pid) === identity; polls++) {
    const file = readPidFile(dataFolder);
    if (file?.pid === pid && file.status === 'ready') {
      const host = file.socketFolder === '' ? file.address : file.socketFolder;
      return { pid, identity, host, port: file.port };
    }
    const seconds = (polls * POLL_MS) / 1000;
    if (seconds > RECOVERY_LIMIT_SECONDS) {
      throw new DatabaseError(
        'postgres_not_ready',
        `PostgreSQL (process ${pid}) is "${file?.status ?? 'starting'}" for more than ${RECOVERY_LIMIT_SECONDS} s`,
        'it may still be repairing a large database after a crash: see postgres.log, and start again',
      );
    }
    if (polls > 0 && (polls * POLL_MS) % 10_000 === 0)
      log.warn({ pid, seconds }, 'still waiting for PostgreSQL');
    await sleep(POLL_MS);
  }
  return undefined;
}

/**
 * Starts PostgreSQL on an initialised data folder, in a session of its own.
 *
 * @param settings passed with `-c`
 * @throws DatabaseError `postgres_did_not_start`, with the end of its log
 */
export async function startPostmaster(options: {
  readonly binaries: Binaries;
  readonly dataFolder: string;
  readonly logFile: string;
  readonly user: SystemUser | undefined;
  readonly listen: Listen;
  readonly settings: Readonly<Record<string, string>>;
  readonly log: Logger;
}): Promise<Postmaster> {
  const { binaries, dataFolder, logFile, user, listen, log } = options;
  const network: Record<string, string> =
    'socketFolder' in listen
      ? { listen_addresses: '', unix_socket_directories: listen.socketFolder, port: '5432' }
      : { listen_addresses: '127.0.0.1', unix_socket_directories: '', port: String(listen.loopbackPort) };
  const settings = {
    unix_socket_permissions: '0700',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...options.settings,
  };
  const flags = Object.entries({ ...settings, ...network }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  rotate(logFile);
  for (let attempt = 0; ; attempt++) {
    const logDescriptor = openSync(logFile, 'a', 0o640);
    const logStart = statSync(logFile).size;
    try {
      const program = join(binaries.folder, 'bin/postgres');
      const started = await startBackgroundProcess(program, ['-D', dataFolder, ...flags], {
        environment: postgresEnvironment,
        logDescriptor,
        ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
      });
      const identity = processIdentity(started.pid);
      const ready = identity && (await whenReady(dataFolder, started.pid, identity, log));
      if (ready) return ready;
    } finally {
      closeSync(logDescriptor);
    }
    const message = endOfLog(logFile, logStart);
    if (attempt >= STILL_DYING_ATTEMPTS || !STILL_DYING.test(message)) {
      throw new DatabaseError(
        'postgres_did_not_start',
        `PostgreSQL ${binaries.major} did not start on ${dataFolder}:\n${message}`,
        `its whole log is ${logFile}`,
      );
    }
    await sleep(STILL_DYING_PAUSE_MS);
  }
}

/** What the log says since a position, at most its last 2,000 characters. */
function endOfLog(logFile: string, from: number): string {
  return readFileSync(logFile).subarray(from).toString('utf8').trim().slice(-2000);
}

function rotate(logFile: string): void {
  try {
    if (statSync(logFile).size > LOG_LIMIT_BYTES) renameSync(logFile, `${logFile}.1`);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/**
 * Stops PostgreSQL cleanly ("fast": sessions are ended, everything is written out). If that takes too long it is told
 * to stop at once, which loses nothing either: the next start repairs.
 */
export async function stopPostmaster(postmaster: Postmaster, log: Logger): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (processIdentity(postmaster.pid) !== postmaster.identity) return;
    if (signal !== 'SIGINT')
      log.warn({ pid: postmaster.pid, signal }, 'PostgreSQL does not stop; being firmer');
    process.kill(postmaster.pid, signal);
    for (let polls = 0; polls * POLL_MS < STOP_LIMIT_SECONDS * 1000; polls++) {
      if (processIdentity(postmaster.pid) !== postmaster.identity) return;
      await sleep(POLL_MS);
    }
  }
}
