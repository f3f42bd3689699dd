/**
 * One run of the lab: the folder its hosts live in, and the promise that nothing of it is left behind.
 *
 * Everything made is registered with how to undo it. The list is undone, last first, by `stop()`, when the process
 * exits, and on SIGINT, SIGTERM and SIGHUP. After a SIGKILL of the owner nothing can run here: processes are ended by
 * the kernel (see host.ts), and the next run sweeps up the rest, recognised by the name of the run in it.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { sleepBlocking } from './clock.ts';
import { runBlocking, runOrThrow } from './run-command.ts';

export interface LabRun {
  /** Unique on this machine: `run-PID-STARTED-N`, where STARTED is the owner's start in ticks since boot. */
  readonly name: string;
  readonly folder: string;
  /** Registers how to undo something. Called at most once; must not be asynchronous. Returns a function that undoes now. */
  readonly onStop: (what: string, undo: () => void) => () => void;
  /** Undoes everything that is still registered. Safe to call twice. */
  readonly stop: () => void;
}

/** Where the base root and the runs are: outside the repository, kept between runs. */
export function cacheFolder(): string {
  const folder = process.env['FIXPOINT_LAB_CACHE'] ?? '/var/cache/fixpoint-lab';
  // These have a meaning of their own in the options of an overlay mount.
  if (!folder.startsWith('/') || /[:,\\\s]/.test(folder)) {
    throw new Error(
      `FIXPOINT_LAB_CACHE must be an absolute path without spaces, ":", "," and "\\": ${folder}`,
    );
  }
  return folder;
}

/** Start of a process in clock ticks since boot (field 22 of proc(5) stat), or `undefined` if there is no such process. */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in brackets and may hold spaces: count from its end.
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .at(19);
  } catch {
    return undefined;
  }
}

/** Mount points at or below `folder`, deepest first. */
export function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .toReversed();
}

/** Unmounts all below `folder`, then deletes it, never crossing into another file system. */
export function removeFolder(folder: string): void {
  for (const point of mountsBelow(folder)) {
    let tries = 0;
    while (runBlocking(['umount', point]) !== 0 && tries < 20) {
      tries += 1;
      sleepBlocking(0.1);
    }
    if (mountsBelow(folder).includes(point)) runBlocking(['umount', '--lazy', point]);
  }
  runBlocking(['rm', '-rf', '--one-file-system', '--', folder], 120);
}

/** The cgroup hierarchies that systemd uses to know its processes: the unified one, and `name=systemd` beside it. */
export function cgroupRoots(): string[] {
  const roots: string[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const [kind, , superOptions = ''] = right.split(' ');
    const point = left.split(' ')[4] ?? '';
    if (kind === 'cgroup2' || (kind === 'cgroup' && superOptions.split(',').includes('name=systemd'))) {
      if (point !== '') roots.push(point);
    }
  }
  return roots;
}

function foldersBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...below.flatMap((entry) => foldersBelow(`${folder}/${entry.name}`)), folder];
}

/**
 * Ends every process in the cgroup `name` (in all hierarchies) and deletes it. Only what the lab has started itself is
 * ever in there, so this is safe where a list of process ids could name somebody else's by now.
 */
export function endCgroup(name: string): void {
  const folders = cgroupRoots().flatMap((root) => foldersBelow(`${root}/${name}`));
  const processes = (): number[] =>
    folders.flatMap((folder) => {
      try {
        return readFileSync(`${folder}/cgroup.procs`, 'utf8').split('\n').filter(Boolean).map(Number);
      } catch {
        return [];
      }
    });
  for (let tries = 0; tries < 100; tries += 1) {
    const left = processes().filter((pid) => pid > 1 && pid !== process.pid);
    if (left.length === 0) break;
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself in the meantime.
      }
    }
    sleepBlocking(0.05);
  }
  for (let tries = 0; tries < 20; tries += 1) {
    for (const folder of folders) {
      try {
        rmdirSync(folder);
      } catch {
        // Busy for a moment after the last process has gone, or already deleted: asked again below.
      }
    }
    if (folders.every((folder) => !existsSync(folder))) return;
    sleepBlocking(0.05);
  }
}

/** Whether `name` starts with the name of a run whose owner is no longer there. */
function isDead(name: string): boolean {
  const [, pid, ticks] = /^run-(\d+)-(\d+)-\d+/.exec(name) ?? [];
  return pid !== undefined && startTicks(Number(pid)) !== ticks;
}

/** Takes away what is left of runs whose owner is dead. Returns their names. */
export function sweepDeadRuns(): string[] {
  const swept = new Set<string>();
  for (const root of cgroupRoots()) {
    for (const entry of existsSync(root) ? readdirSync(root) : []) {
      if (!entry.startsWith('fixpoint-lab-')) continue;
      const name = entry.slice('fixpoint-lab-'.length);
      if (!isDead(name)) continue;
      endCgroup(entry);
      swept.add(/^run-\d+-\d+-\d+/.exec(name)?.[0] ?? name);
    }
  }
  for (const device of readdirSync('/sys/class/net')) {
    let alias = '';
    try {
      alias = readFileSync(`/sys/class/net/${device}/ifalias`, 'utf8').trim();
    } catch {
      continue;
    }
    if (!alias.startsWith('fixpoint-lab run-') || !isDead(alias.slice('fixpoint-lab '.length))) continue;
    runBlocking(['ip', 'link', 'delete', device]);
    swept.add(alias.slice('fixpoint-lab '.length));
  }
  for (const parent of runParents()) {
    for (const name of existsSync(parent) ? readdirSync(parent) : []) {
      if (!isDead(name)) continue;
      removeFolder(`${parent}/${name}`);
      swept.add(name);
    }
  }
  return [...swept];
}

function runParents(): string[] {
  return [`${cacheFolder()}/runs`, '/var/tmp/fixpoint-lab/runs'];
}

/** Only for root: hosts hold old set-user-ID programs, which nobody else on this machine should be able to run. */
function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== process.geteuid?.()) {
    throw new Error(
      `${folder} belongs to somebody else: delete it, or set FIXPOINT_LAB_CACHE to another folder`,
    );
  }
  chmodSync(folder, 0o700);
}

async function fileSystemOf(folder: string): Promise<string> {
  return (await runOrThrow(['stat', '--file-system', '--format=%T', folder])).stdout.trim();
}

let runsOfThisProcess = 0;

/** Starts a run: sweeps up after dead ones, makes the folder, and arranges for the end. */
export async function startRun(options: { onProgress: (line: string) => void }): Promise<LabRun> {
  for (const name of sweepDeadRuns()) options.onProgress(`swept up what ${name} had left behind`);
  const name = `run-${process.pid}-${startTicks(process.pid) ?? '0'}-${runsOfThisProcess}`;
  runsOfThisProcess += 1;

  const undos: { what: string; undo: () => void }[] = [];
  const onStop = (what: string, undo: () => void): (() => void) => {
    const entry = { what, undo };
    undos.push(entry);
    return () => {
      const at = undos.indexOf(entry);
      if (at < 0) return;
      undos.splice(at, 1);
      undo();
    };
  };
  const undoAll = (): void => {
    for (let entry = undos.pop(); entry !== undefined; entry = undos.pop()) {
      try {
        entry.undo();
      } catch (error) {
        options.onProgress(`could not undo ${entry.what}: ${String(error)}`);
      }
    }
  };
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const onSignal = (signal: NodeJS.Signals): void => {
    stop();
    // With nobody else listening the signal must still end the process, as it would have without us.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const stop = (): void => {
    undoAll();
    process.off('exit', stop);
    for (const signal of signals) process.off(signal, onSignal);
  };
  process.on('exit', stop);
  for (const signal of signals) process.on(signal, onSignal);

  // An overlay's upper folder must not be on an overlay itself, as it would be in most containers.
  for (const parent of runParents()) {
    makePrivateFolder(parent);
    if ((await fileSystemOf(parent)) !== 'overlayfs') {
      const folder = `${parent}/${name}`;
      mkdirSync(folder);
      onStop(folder, () => removeFolder(folder));
      return { name, folder, onStop, stop };
    }
  }
  const folder = `/var/tmp/fixpoint-lab/runs/${name}`;
  mkdirSync(folder);
  onStop(folder, () => removeFolder(folder));
  options.onProgress('the disk here is an overlay: hosts live in memory instead');
  await runOrThrow(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'fixpoint-lab', folder]);
  return { name, folder, onStop, stop };
}
