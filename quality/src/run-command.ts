/** The only place of this package that starts processes. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, in the C locale. A program that is not there throws. */
export function runCommand(
  program: string,
  programArguments: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): CommandResult {
  const { status, stdout, stderr, error } = spawnSync(program, [...programArguments], {
    encoding: 'utf8',
    maxBuffer: 512 * 1024 * 1024,
    timeout: 300_000,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...environment },
  });
  if (error !== undefined) throw error;
  return { exitCode: status, stdout, stderr };
}

export const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
