import { spawn } from 'node:child_process';
import { codeOf, messageOf } from './failure.ts';

/** The only place of the agent that starts processes. */

export interface CommandOptions {
  readonly timeoutSeconds: number;
  /** Standard output beyond this is an error, not cut off. Default 64 MiB. */
  readonly maxOutputBytes?: number;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export type CommandResult =
  | { readonly ok: true; readonly stdout: string; readonly stderr: string }
  | {
      readonly ok: false;
      readonly code: 'command_missing' | 'command_failed' | 'command_timed_out' | 'output_too_large';
      readonly message: string;
      /** null when it did not end by itself. */
      readonly exitCode: number | null;
      readonly stdout: string;
      readonly stderr: string;
    };

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What every command gets: no locale of the host (output is parsed), nothing of the agent's own environment. */
const plainEnvironment: Readonly<Record<string, string>> = {
  PATH: searchPath,
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  LANGUAGE: 'C',
};

/** Runs a command to its end and gives its output. Never throws; never waits longer than asked. */
export function runCommand(
  argv: readonly [string, ...string[]],
  options: CommandOptions,
): Promise<CommandResult> {
  const [program, ...args] = argv;
  const maxOutputBytes = options.maxOutputBytes ?? 64 * 1024 * 1024;
  return new Promise((resolve) => {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let stdoutBytes = 0;
    let stderrBytes = 0;
    let stopped: 'command_timed_out' | 'output_too_large' | null = null;
    let settled = false;
    const child = spawn(program, args, {
      env: { ...plainEnvironment, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const settle = (result: CommandResult): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      resolve(result);
    };
    const fail = (
      code: 'command_missing' | 'command_failed' | 'command_timed_out' | 'output_too_large',
      message: string,
      exitCode: number | null,
    ): void => {
      settle({ ok: false, code, message, exitCode, stdout: text(stdout), stderr: text(stderr) });
    };
    const stop = (why: 'command_timed_out' | 'output_too_large'): void => {
      stopped ??= why;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => {
      stop('command_timed_out');
    }, options.timeoutSeconds * 1000);
    child.stdout.on('data', (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > maxOutputBytes) stop('output_too_large');
      else stdout.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      // Only for messages: what is beyond a mebibyte is dropped.
      if (stderrBytes < 1024 * 1024) stderr.push(chunk);
      stderrBytes += chunk.length;
    });
    child.on('error', (error) => {
      const missing = codeOf(error) === 'ENOENT';
      fail(missing ? 'command_missing' : 'command_failed', `${program}: ${messageOf(error)}`, null);
    });
    child.on('close', (exitCode, signal) => {
      if (stopped === 'command_timed_out') {
        fail(stopped, `${program} took longer than ${String(options.timeoutSeconds)} s`, null);
      } else if (stopped === 'output_too_large') {
        fail(stopped, `${program} wrote more than ${String(maxOutputBytes)} bytes`, null);
      } else if (exitCode === 0) settle({ ok: true, stdout: text(stdout), stderr: text(stderr) });
      else {
        const how = exitCode === null ? `was ended by ${String(signal)}` : `exited with ${String(exitCode)}`;
        const tail = text(stderr).trim().split('\n').slice(-3).join(' ').slice(0, 500);
        fail('command_failed', `${program} ${how}${tail === '' ? '' : `: ${tail}`}`, exitCode);
      }
    });
    // A command that reads no input may be gone before it is written.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/**
 * Starts a process in a session of its own that lives on when the agent ends. Its first argument must be an absolute
 * path. `ended` resolves when it ends while this agent still runs.
 */
export function startDetached(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): { readonly ended: Promise<void> } {
  const [program, ...args] = argv;
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { ...plainEnvironment, ...env },
  });
  child.unref();
  return {
    ended: new Promise((resolve) => {
      child.on('exit', () => {
        resolve();
      });
      child.on('error', () => {
        resolve();
      });
    }),
  };
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
