/** The only place in the lab that starts processes. */
import { spawn, spawnSync } from 'node:child_process';
import { monotonicSeconds } from './clock.ts';
import { errorCode } from './error-code.ts';

export interface CommandResult {
  readonly argv: readonly string[];
  /** `null` when the process was ended by a signal. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** True when the process was killed because `timeoutSeconds` had passed. */
  readonly timedOut: boolean;
  readonly durationSeconds: number;
}

export interface CommandOptions {
  /** Default 60. The process and everything in its process group is then ended by SIGKILL. */
  readonly timeoutSeconds?: number;
  readonly input?: string | Uint8Array;
  /** The whole environment of the process; nothing is inherited. Default: `cleanEnvironment`. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly workingFolder?: string;
  /** Called with each line of output as it arrives. */
  readonly onLine?: (line: string) => void;
}

/** What every command of the lab sees, so that the developer's own settings cannot change a result. */
export const cleanEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
};

/** Output kept per stream. The start is kept, for the first error stands there; the rest is dropped. */
const OUTPUT_LIMIT_CHARACTERS = 8 * 1024 * 1024;

function splitLines(onLine: (line: string) => void): { add: (text: string) => void; end: () => void } {
  let rest = '';
  return {
    add(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line.trimEnd());
    },
    end() {
      if (rest !== '') onLine(rest.trimEnd());
      rest = '';
    },
  };
}

/** Signals the process group a command was started in; a group that is already gone is no error. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/**
 * Runs a command to its end and returns what happened, whatever the exit status.
 * Throws only when it could not be started at all.
 */
export function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [command, ...rest] = argv;
  if (command === undefined) throw new Error('runCommand needs a command');
  return new Promise((resolve, reject) => {
    const started = monotonicSeconds();
    const child = spawn(command, rest, {
      env: { ...(options.environment ?? cleanEnvironment) },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      // A group of its own, so that a timeout also reaches what nsenter or a shell has forked.
      detached: true,
      ...(options.workingFolder === undefined ? {} : { cwd: options.workingFolder }),
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const lines = options.onLine === undefined ? undefined : splitLines(options.onLine);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_LIMIT_CHARACTERS) stdout += text;
      lines?.add(text);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < OUTPUT_LIMIT_CHARACTERS) stderr += text;
      lines?.add(text);
    });
    const timer = setTimeout(
      () => {
        timedOut = true;
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
        // What left the group may still hold our pipes open: do not wait for it.
        child.stdout?.destroy();
        child.stderr?.destroy();
      },
      (options.timeoutSeconds ?? 60) * 1000,
    );
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      lines?.end();
      resolve({
        argv,
        exitCode,
        signal,
        stdout,
        stderr,
        timedOut,
        durationSeconds: monotonicSeconds() - started,
      });
    });
    if (options.input !== undefined) {
      // A command may end without reading its input (EPIPE): its exit status tells.
      child.stdin?.on('error', () => {});
      child.stdin?.end(options.input);
    }
  });
}

/** A command that did not exit 0, with its last output in the message. */
export class CommandFailed extends Error {
  readonly result: CommandResult;
  constructor(result: CommandResult) {
    const how = result.timedOut
      ? `was ended after ${result.durationSeconds.toFixed(0)} s`
      : `left with ${result.exitCode ?? result.signal}`;
    const tail = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-15).join('\n');
    super(`${result.argv.join(' ')} ${how}\n${tail}`);
    this.name = 'CommandFailed';
    this.result = result;
  }
}

/** As `runCommand`, but anything other than exit status 0 throws `CommandFailed`. */
export async function runOrThrow(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await runCommand(argv, options);
  if (result.exitCode !== 0) throw new CommandFailed(result);
  return result;
}

/** Blocks until the command has ended; returns its exit status. Only for clean-up on the way out of the process. */
export function runBlocking(argv: readonly string[], timeoutSeconds = 20): number | null {
  const [command, ...rest] = argv;
  if (command === undefined) throw new Error('runBlocking needs a command');
  return spawnSync(command, rest, {
    env: { ...cleanEnvironment },
    stdio: 'ignore',
    timeout: timeoutSeconds * 1000,
    killSignal: 'SIGKILL',
  }).status;
}

export interface BackgroundProcess {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>;
  readonly hasExited: () => boolean;
  /** Ends its standard input, if it was given one. */
  readonly endInput: () => void;
  readonly kill: (signal: NodeJS.Signals) => void;
}

/** Starts a process that stays; its output goes line by line to `onLine`. Throws when it cannot be started. */
export async function startInBackground(
  argv: readonly string[],
  options: {
    onLine: (line: string) => void;
    withInput?: boolean;
    /** The whole environment. Default: `cleanEnvironment`. */
    environment?: Readonly<Record<string, string>>;
  },
): Promise<BackgroundProcess> {
  const [command, ...rest] = argv;
  if (command === undefined) throw new Error('startInBackground needs a command');
  const child = spawn(command, rest, {
    env: { ...(options.environment ?? cleanEnvironment) },
    stdio: [options.withInput === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    // Ctrl-C in a terminal must reach us, not the hosts: we take them down in order.
    detached: true,
  });
  const lines = splitLines(options.onLine);
  child.stdout?.setEncoding('utf8').on('data', lines.add);
  child.stderr?.setEncoding('utf8').on('data', lines.add);
  let gone = false;
  const exited = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('exit', (exitCode, signal) => {
      gone = true;
      lines.end();
      resolve({ exitCode, signal });
    });
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('spawn', () => {
      if (child.pid === undefined) reject(new Error(`${command} has no process id`));
      else resolve(child.pid);
    });
  });
  return {
    pid,
    exited,
    hasExited: () => gone,
    endInput: () => child.stdin?.end(),
    kill: (signal) => {
      if (!gone) child.kill(signal);
    },
  };
}
