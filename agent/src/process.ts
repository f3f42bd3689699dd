import { readFileSync, readdirSync } from 'node:fs';

/** Linux processes by /proc; see proc(5). A pid alone names nobody for long: with its start it does. */

export interface ProcessStat {
  readonly pid: number;
  readonly command: string;
  readonly state: string;
  readonly parent: number;
  readonly session: number;
  /** Clock ticks (1/100 s) after boot, as text. */
  readonly startTicks: string;
  /** Kernel threads have it. */
  readonly isKernelThread: boolean;
}

const kernelThreadFlag = 0x0020_0000;

/** Parses /proc/PID/stat. The command stands in parentheses and may itself hold any character. */
export function parseProcessStat(text: string): ProcessStat | null {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return null;
  const fields = text
    .slice(close + 2)
    .trim()
    .split(' ');
  const [state, parent, , session, , , flags] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return null;
  return {
    pid: Number(text.slice(0, open)),
    command: text.slice(open + 1, close),
    state,
    parent: Number(parent),
    session: Number(session),
    startTicks,
    isKernelThread: (Number(flags) & kernelThreadFlag) !== 0,
  };
}

/** null when the process is gone. */
export function readProcessStat(pid: number, proc = '/proc'): ProcessStat | null {
  try {
    return parseProcessStat(readFileSync(`${proc}/${String(pid)}/stat`, 'utf8'));
  } catch {
    return null;
  }
}

export function readStartTicks(pid: number): string | null {
  return readProcessStat(pid)?.startTicks ?? null;
}

/** Whether exactly that process still runs; a zombie does not. */
export function isAlive(pid: number, startTicks: string): boolean {
  const stat = Number.isInteger(pid) && pid > 0 ? readProcessStat(pid) : null;
  return stat !== null && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/** Every process id there is now. */
export function listProcesses(proc = '/proc'): number[] {
  return readdirSync(proc)
    .filter((name) => /^\d+$/u.test(name))
    .map(Number);
}

/** The processes of a session and all their descendants, the leader included. */
export function processesOfSession(leader: number): ProcessStat[] {
  const all = listProcesses().flatMap((pid) => readProcessStat(pid) ?? []);
  const taken = new Map(all.filter((p) => p.session === leader || p.pid === leader).map((p) => [p.pid, p]));
  for (let grew = true; grew;) {
    grew = false;
    for (const p of all) {
      if (!taken.has(p.pid) && taken.has(p.parent)) {
        taken.set(p.pid, p);
        grew = true;
      }
    }
  }
  return [...taken.values()];
}

/** Seconds since boot. */
export function readUptimeSeconds(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
}

export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
