/** The only place of the command line that starts processes. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes } from './exit-codes.ts';

export interface Finished {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** Output and errors in one, as they came. */
  readonly output: string;
}

/** Runs a program of ours on this Node to its end. */
export function runNode(
  program: string,
  programArguments: readonly string[],
  timeoutSeconds: number,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...programArguments], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutSeconds * 1000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const collect = (chunk: string): void => {
      output += chunk;
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, output }));
  });
}

export interface ToolAnswer {
  /** `ENOENT`: there is no such program. Else null or why it could not be run to its end. */
  readonly failure: string | null;
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of this machine to its end, in English, and gives what it printed. */
export function runTool(
  program: string,
  programArguments: readonly string[],
  timeoutSeconds: number,
  environment: Readonly<Record<string, string>> = {},
): ToolAnswer {
  const { error, status, stdout, stderr } = spawnSync(program, [...programArguments], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    timeout: timeoutSeconds * 1000,
    killSignal: 'SIGKILL',
    env: { ...process.env, LC_ALL: 'C', ...environment },
  });
  const failure = error === undefined ? null : 'code' in error ? String(error.code) : error.message;
  // Without a program there is no output either, whatever the types say.
  return {
    failure,
    exitCode: status,
    stdout: failure === null ? stdout : '',
    stderr: failure === null ? stderr : '',
  };
}

export interface Child {
  readonly pid: number;
  /** Settles when it has ended. */
  readonly ended: Promise<{ readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }>;
  signal(name: NodeJS.Signals): void;
}

/**
 * Starts a program of ours on this Node that goes on beside us, in a process group of its own, so that a Ctrl-C in our
 * terminal reaches only us and we stop things in order. Its output goes to the end of a file.
 */
export function startNode(
  program: string,
  programArguments: readonly string[],
  logFile: string,
): Promise<Child> {
  return new Promise((resolve, reject) => {
    const log = openSync(logFile, 'a', 0o600);
    const child = spawn(process.execPath, [program, ...programArguments], {
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const ended = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((settle) => {
      child.on('exit', (exitCode, signal) => settle({ exitCode, signal }));
    });
    child.on('error', reject);
    child.on('spawn', () => {
      const { pid } = child;
      if (pid === undefined) throw new Error('a process that was started has a number');
      resolve({ pid, ended, signal: (name) => void child.kill(name) });
    });
  });
}

/** Bundles a program into one file of its name that Bun runs, with its bytecode beside it. False when that failed. */
export function bundleForBun(bun: string, program: string, folder: string): boolean {
  const options = [
    'build',
    program,
    '--target=bun',
    '--format=cjs',
    '--bytecode',
    '--minify',
    `--outdir=${folder}`,
  ];
  return spawnSync(bun, options, { stdio: 'ignore', timeout: 30_000 }).status === 0;
}

/** Runs the command line on Node, in our place: its input, output and exit code are ours. */
export function runSlowStart(root: string, argv: readonly string[]): number {
  const program = join(root, 'cli/bin/fixpoint.mjs');
  const { status, signal } = spawnSync(join(root, 'node_modules/.bin/node'), [program, ...argv], {
    stdio: 'inherit',
  });
  return status ?? (signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.fault);
}
