import {
  existsSync,
  ftruncateSync,
  closeSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { codeOf } from '../failure.ts';
import { isAlive, processesOfSession, readBootId, readUptimeSeconds } from '../process.ts';
import { startDetached } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';

/**
 * Runs a command so that neither it nor its result is lost when the agent dies: in a session of its own, under a small
 * shell that writes who runs (`NAME.run`), the output (`NAME.output`) and at last the exit code (`NAME.exit`). A run of a
 * name happens once: asked again, by a new agent too, it is waited for, or its result is read.
 */

export interface DetachedCommand {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
}

export type DetachedResult =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly output: string }
  | { readonly kind: 'timed_out'; readonly output: string }
  /** It began and is gone without a result: the machine went down, or somebody killed it. */
  | { readonly kind: 'lost'; readonly output: string };

/**
 * `ln` takes the name only if nobody has: so an agent that gives a run up (see `abandon`) and a shell that is about to
 * start can never both go on. Output is appended, so that the agent may cut the file while it is written.
 */
const wrapper = `
run=$1/$2; shift 2
umask 022
start=$(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f20)
printf '%s %s %s\\n' "$$" "$start" "$(cat /proc/sys/kernel/random/boot_id)" > "$run.claim.$$"
ln "$run.claim.$$" "$run.run" || exit 125
rm -f "$run.claim.$$"
"$@" < /dev/null >> "$run.output" 2>&1
code=$?
echo "$code" > "$run.exit.part" && sync "$run.exit.part"
mv "$run.exit.part" "$run.exit"
`;

const outputBytesMaximum = 16 * 1024 * 1024;
const keptBytes = 4 * 1024 * 1024;
const pollSeconds = 0.1;
const startSecondsMaximum = 30;
const endSeconds = 10;

/** Whether a run of this name was ever begun. */
export function hasRun(dir: string, name: string): boolean {
  return existsSync(join(dir, `${name}.run`));
}

/**
 * Starts the command, or finds the run of that name, and waits for its end.
 * @param onRunning called once the process runs (not for a result that was there already)
 */
export async function runDetached(
  dir: string,
  name: string,
  command: DetachedCommand,
  clock: Clock,
  onRunning: () => void = () => undefined,
): Promise<DetachedResult> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const base = join(dir, name);
  if (!existsSync(`${base}.run`)) {
    const child = startDetached(
      ['/bin/sh', '-c', wrapper, 'fixpoint-run', dir, name, ...command.argv],
      command.env,
    );
    let childEnded = false;
    void (async () => {
      await child.ended;
      childEnded = true;
    })();
    const giveUp = clock.elapsedSeconds() + startSecondsMaximum;
    while (!existsSync(`${base}.run`)) {
      if (childEnded || clock.elapsedSeconds() > giveUp) {
        if (existsSync(`${base}.run`)) break;
        // It must not begin later, when nobody expects it any more.
        abandon(base);
        break;
      }
      await clock.sleep(0.01);
    }
  }
  const [pidText, startTicks, bootId] = (readTextIfThere(`${base}.run`) ?? '').trim().split(' ');
  const pid = Number(pidText);
  const runs = (): boolean => bootId === readBootId() && isAlive(pid, startTicks ?? '');
  if (runs()) onRunning();
  while (!existsSync(`${base}.exit`)) {
    // Ended by an earlier agent, which did not live to tell.
    if (existsSync(`${base}.timeout`) && !runs()) return { kind: 'timed_out', output: readOutput(base) };
    if (!runs()) {
      // The result may have been written between the two looks.
      if (existsSync(`${base}.exit`)) break;
      if (bootId === readBootId() && pid > 0) await waitForSession(pid, startTicks ?? '', command, clock);
      return { kind: 'lost', output: readOutput(base) };
    }
    if (readUptimeSeconds() - Number(startTicks) / 100 > command.timeoutSeconds) {
      writeFileSync(`${base}.timeout`, '');
      await endSession(pid, clock);
      if (existsSync(`${base}.exit`)) break;
      return { kind: 'timed_out', output: readOutput(base) };
    }
    keepBounded(base);
    await clock.sleep(pollSeconds);
  }
  const exitCode = Number(readFileSync(`${base}.exit`, 'utf8').trim());
  return { kind: 'exited', exitCode: Number.isInteger(exitCode) ? exitCode : 255, output: readOutput(base) };
}

/** Somebody ended only the shell: what it started may still be at work, and must not meet a second one. */
async function waitForSession(
  leader: number,
  startTicks: string,
  command: DetachedCommand,
  clock: Clock,
): Promise<void> {
  const until = Number(startTicks) / 100 + command.timeoutSeconds;
  while (readUptimeSeconds() < until && processesOfSession(leader).some((p) => p.state !== 'Z')) {
    await clock.sleep(pollSeconds);
  }
}

function abandon(base: string): void {
  const claim = `${base}.claim.agent`;
  writeFileSync(claim, `0 0 ${readBootId()}\n`);
  try {
    linkSync(claim, `${base}.run`);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(claim, { force: true });
  }
}

/** Ends a session's processes and all that they started: asked first, then forced. */
async function endSession(leader: number, clock: Clock): Promise<void> {
  const giveUp = clock.elapsedSeconds() + endSeconds;
  // The shell itself goes last: it must not write an exit code as if the command had ended by itself.
  const signalAll = (signal: NodeJS.Signals): number => {
    const running = processesOfSession(leader).filter((p) => p.state !== 'Z' && p.pid !== leader);
    for (const p of running) kill(p.pid, signal);
    return running.length;
  };
  kill(leader, 'SIGSTOP');
  signalAll('SIGTERM');
  while (signalAll('SIGCONT') > 0 && clock.elapsedSeconds() < giveUp) await clock.sleep(pollSeconds);
  while (signalAll('SIGKILL') > 0 && clock.elapsedSeconds() < giveUp + endSeconds)
    await clock.sleep(pollSeconds);
  kill(leader, 'SIGKILL');
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended meanwhile.
  }
}

/** The end of the output, at most 4 MiB. */
function readOutput(base: string): string {
  let file: number;
  try {
    file = openSync(`${base}.output`, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, keptBytes));
    const count = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.subarray(0, count).toString('utf8');
  } finally {
    closeSync(file);
  }
}

/** A command that writes without end must not fill the disk: what is too much is thrown away while it runs. */
function keepBounded(base: string): void {
  let file: number;
  try {
    file = openSync(`${base}.output`, 'r+');
  } catch {
    return;
  }
  try {
    if (fstatSync(file).size > outputBytesMaximum) ftruncateSync(file, 0);
  } finally {
    closeSync(file);
  }
}
