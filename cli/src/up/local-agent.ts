import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TokenCreated } from '@fixpoint/contract/access.ts';
import { AssetDetail } from '@fixpoint/contract/asset.ts';
import { sleep, ticks } from '../clock.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { runNode, startNode, type Child } from '../run-command.ts';

/** The agent that `fixpoint up` runs for the machine it is on: the real one, assess-only, its state in the data folder. */

export const agentProgram = join(import.meta.dirname, '../../../agent/src/main.ts');

export function agentFolder(data: string): string {
  return join(data, 'agent');
}

/** Why there can be no agent on this machine; null when there can. */
export function agentObstacle(): string | null {
  if (process.platform !== 'linux') return `the agent runs on Linux; this is ${process.platform}`;
  if (!existsSync('/var/lib/dpkg/status')) {
    return 'the agent reads the package database of dpkg (Debian and its relatives), and there is none';
  }
  return null;
}

/**
 * Ends the agent that an earlier `up`, itself killed, left running on this folder. Its lock names it by number and start
 * time, so nobody else's process is meant by it.
 *
 * @returns its process number, or null when there was none
 */
export async function endOrphan(data: string): Promise<number | null> {
  const lock = readIfThere(join(agentFolder(data), 'agent.lock'));
  const [pidText, startTicks] = (lock ?? '').trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 1 || startTicks === undefined || !isThat(pid, startTicks)) return null;
  process.kill(pid, 'SIGTERM');
  const until = ticks() + 10_000;
  while (isThat(pid, startTicks)) {
    if (ticks() > until) process.kill(pid, 'SIGKILL');
    await sleep(50);
  }
  return pid;
}

/** Whether that very process still runs; see proc(5), field 22 of stat. */
function isThat(pid: number, startTicks: string): boolean {
  const stat = readIfThere(`/proc/${String(pid)}/stat`);
  if (stat === null) return false;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] === startTicks && fields[0] !== 'Z' && fields[0] !== 'X';
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Makes this machine an asset of the server, assess-only; one that is stays the asset it is. Answers the asset's id. */
export async function enrolHere(to: Connection, data: string): Promise<string> {
  const folder = agentFolder(data);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The server may listen elsewhere than last time. The key stays, so the asset does too.
  const before = enrolment(folder);
  if (before?.server === to.server && (await isAsset(to, before.asset))) return before.asset;
  rmSync(join(folder, 'enrolment.json'), { force: true });
  const { secret } = await ask(to, '/api/v1/enrolment-tokens', TokenCreated, {
    method: 'POST',
    json: { name: 'fixpoint up, this machine', uses: 1, expires_in_minutes: 10, tags: [] },
  });
  const enrol = ['enroll', '--server', to.server, '--token', secret, '--mode', 'assess', '--state', folder];
  const { exitCode, output } = await runNode(agentProgram, enrol, 60);
  const known = enrolment(folder);
  if (exitCode === 0 && known !== null) return known.asset;
  throw new Failure(
    exitCodes.fault,
    'enrolment_failed',
    `this machine could not be enrolled: ${output.trim().replaceAll(/\s*\n\s*/gu, '; ')}`,
    `Look at ${folder}; --no-agent starts without this machine as an asset.`,
  );
}

/** Whether the server knows this asset: its database may be another one than last time. */
async function isAsset(to: Connection, id: string): Promise<boolean> {
  try {
    const { asset } = await ask(to, `/api/v1/assets/${id}`, AssetDetail);
    return asset.contact !== 'retired';
  } catch (error) {
    if (error instanceof Failure && error.code === 'asset_unknown') return false;
    throw error;
  }
}

function enrolment(folder: string): { readonly server: string; readonly asset: string } | null {
  try {
    const value: unknown = JSON.parse(readIfThere(join(folder, 'enrolment.json')) ?? 'null');
    if (typeof value !== 'object' || value === null || !('server_url' in value) || !('asset_id' in value))
      return null;
    return { server: String(value.server_url).replace(/\/$/u, ''), asset: String(value.asset_id) };
  } catch {
    return null;
  }
}

export function agentLog(data: string): string {
  return join(agentFolder(data), 'agent.log');
}

export function startAgent(data: string): Promise<Child> {
  return startNode(agentProgram, ['run', '--state', agentFolder(data)], agentLog(data));
}

/** Lets the agent finish what it is at, for ten seconds at most. */
export async function stopAgent(agent: Child): Promise<void> {
  agent.signal('SIGTERM');
  const ended = new AbortController();
  const end = async (): Promise<void> => {
    await sleep(10_000, ended.signal);
    if (!ended.signal.aborted) agent.signal('SIGKILL');
  };
  const late = end();
  await agent.ended;
  ended.abort();
  await late;
}
