/** The only place in the server that starts processes. */
import { spawn } from 'node:child_process';

export interface CommandOptions {
  /** User and group to become; only root can. Supplementary groups are dropped with it. */
  readonly uid?: number;
  readonly gid?: number;
  /** The whole environment of the process: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
}

export interface CommandResult {
  /** Null when a signal ended it, the time limit's included. */
  readonly exitCode: number | null;
  /** Output and errors in one, as they came. */
  readonly output: string;
}

/** Runs a program to its end. Rejects when it cannot be started at all (`ENOENT`, `EACCES`). */
export function runCommand(
  file: string,
  commandArguments: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, commandArguments, {
      cwd: '/',
      env: options.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutSeconds * 1000,
      killSignal: 'SIGKILL',
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
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

export interface BackgroundProcess {
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>;
}

/**
 * Starts a program that goes on without us: in a session of its own, so that a Ctrl-C in our terminal does not reach it
 * and it survives our end. It does not keep our event loop alive.
 *
 * @param logDescriptor open file for its output and errors
 */
export function startBackgroundProcess(
  file: string,
  commandArguments: readonly string[],
  options: Omit<CommandOptions, 'timeoutSeconds'> & { readonly logDescriptor: number },
): Promise<BackgroundProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, commandArguments, {
      cwd: '/',
      env: options.environment,
      detached: true,
      stdio: ['ignore', options.logDescriptor, options.logDescriptor],
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    const ended = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>((settle) => {
      child.on('exit', (exitCode, signal) => settle({ exitCode, signal }));
    });
    child.on('error', reject);
    child.on('spawn', () => {
      child.unref();
      if (child.pid !== undefined) resolve({ pid: child.pid, ended });
    });
  });
}
