import { readFileSync } from 'node:fs';
import { errorCode } from './database-error.ts';

/**
 * Names one process for good: its number alone may be another process's after a while or after a reboot.
 *
 * @returns undefined when there is no such process (a zombie counts as none). On Linux `<boot id>:<start ticks>` from
 *   proc(5) `/proc/<pid>/stat` field 22; elsewhere only "alive".
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform !== 'linux') return isAlive(pid) ? 'alive' : undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name, field 2, may itself hold spaces and parentheses; the fields after it start behind the last ")".
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19]}`;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** Whether there is a process of that number, ours or not. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}
