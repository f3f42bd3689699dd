/** The only place of the benchmarks that starts processes. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface Timed {
  readonly milliseconds: number;
  readonly exitCode: number | null;
}

export interface Command {
  readonly program: string;
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** One whole process, from before it is started to after it has ended, its output going to a file. */
export function timeProcess(command: Command, outputFile: string, timeoutSeconds = 60): Timed {
  const output = openSync(outputFile, 'w');
  try {
    const start = performance.now();
    const { status, error } = spawnSync(command.program, [...command.arguments], {
      stdio: ['ignore', output, 'ignore'],
      env: { ...process.env, ...command.environment },
      timeout: timeoutSeconds * 1000,
    });
    const milliseconds = performance.now() - start;
    if (error !== undefined && 'code' in error && error.code === 'ENOENT') throw error;
    return { milliseconds, exitCode: status };
  } finally {
    closeSync(output);
  }
}

/** Peak resident memory of one process in bytes, by asking the kernel while it runs (VmHWM, proc(5)); null elsewhere. */
export function peakMemory(command: Command): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.program, [...command.arguments], {
      stdio: 'ignore',
      env: { ...process.env, ...command.environment },
    });
    let peak: number | null = null;
    const ask = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${String(child.pid)}/status`, 'utf8');
        const kibibytes = /^VmHWM:\s+(\d+) kB$/mu.exec(status)?.[1];
        if (kibibytes !== undefined) peak = Math.max(peak ?? 0, Number(kibibytes) * 1024);
      } catch {
        // It has just ended, or there is no proc here.
      }
    }, 2);
    child.on('error', reject);
    child.on('exit', () => {
      clearInterval(ask);
      resolve(peak);
    });
  });
}

/** Output of a program; null when it is not there or fails. */
export function outputOf(program: string, programArguments: readonly string[]): string | null {
  const { status, stdout } = spawnSync(program, [...programArguments], {
    encoding: 'utf8',
    maxBuffer: 512 * 1024 * 1024,
    timeout: 60_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return status === 0 ? stdout : null;
}

/** What a program that runs beside this one prints, when it has ended well. */
export function outputOfProcess(command: Command): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.program, [...command.arguments], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...command.environment },
    });
    let output = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command.program} ended with ${String(code)}`));
    });
  });
}
