import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { isAlive } from '../process.ts';
import { runDetached } from './detached.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-run-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const shell = (script: string, timeoutSeconds = 20) => ({
  argv: ['/bin/sh', '-c', script] as const,
  env: { MARK: 'm' },
  timeoutSeconds,
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await systemClock.sleep(0.05);
  expect(condition()).toBe(true);
}

describe('a detached run', () => {
  test('gives exit code and output, both streams in order', async () => {
    const result = await runDetached(
      dir,
      'a',
      shell('echo one; echo two >&2; echo $MARK; exit 7'),
      systemClock,
    );
    expect(result).toEqual({ kind: 'exited', exitCode: 7, output: 'one\ntwo\nm\n' });
  });

  test('happens once: asked again it tells the same', async () => {
    const command = shell(`echo x >> ${dir}/count; echo done`);
    const first = await runDetached(dir, 'a', command, systemClock);
    expect(await runDetached(dir, 'a', command, systemClock)).toEqual(first);
    expect(readFileSync(`${dir}/count`, 'utf8')).toBe('x\n');
  });

  test('leaves the umask of scripts as the system has it', async () => {
    const before = process.umask(0o077);
    try {
      expect(await runDetached(dir, 'a', shell('umask'), systemClock)).toMatchObject({ output: '0022\n' });
    } finally {
      process.umask(before);
    }
  });

  test('outlives the agent that started it, and the next agent gets its result', async () => {
    const script = `
      const { runDetached } = await import(${JSON.stringify(new URL('detached.ts', import.meta.url).href)});
      const { systemClock } = await import(${JSON.stringify(new URL('../clock.ts', import.meta.url).href)});
      await runDetached(${JSON.stringify(dir)}, 'a', ${JSON.stringify(shell(`echo x >> ${dir}/count; sleep 1.5; echo end`))},
        systemClock, () => process.kill(process.pid, 'SIGKILL'));`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const signal = await new Promise((resolve) => {
      agent.on('exit', (_, by) => {
        resolve(by);
      });
    });
    expect(signal).toBe('SIGKILL');
    expect(existsSync(`${dir}/a.run`)).toBe(true);
    expect(existsSync(`${dir}/a.exit`)).toBe(false);
    let running = false;
    const result = await runDetached(dir, 'a', shell('echo never'), systemClock, () => {
      running = true;
    });
    expect(running).toBe(true);
    expect(result).toEqual({ kind: 'exited', exitCode: 0, output: 'end\n' });
    expect(readFileSync(`${dir}/count`, 'utf8')).toBe('x\n');
  });

  test('that is killed is lost, and stays so', async () => {
    const running = runDetached(dir, 'a', shell('sleep 30'), systemClock);
    await until(() => existsSync(`${dir}/a.run`));
    const pid = Number(readFileSync(`${dir}/a.run`, 'utf8').split(' ')[0]);
    // The whole session at once, as a power cut would.
    process.kill(-pid, 'SIGKILL');
    expect(await running).toMatchObject({ kind: 'lost' });
    expect(await runDetached(dir, 'a', shell('echo never'), systemClock)).toMatchObject({ kind: 'lost' });
  });

  test('takes too long: it and all it started are ended, and that is remembered', async () => {
    const script = `sleep 50 & echo $! > ${dir}/child; trap "" TERM; sleep 51`;
    const result = await runDetached(dir, 'a', shell(script, 1), systemClock);
    expect(result.kind).toBe('timed_out');
    const child = Number(readFileSync(`${dir}/child`, 'utf8'));
    expect(isAlive(child, readStart(child))).toBe(false);
    expect(await runDetached(dir, 'a', shell('echo never'), systemClock)).toMatchObject({
      kind: 'timed_out',
    });
  }, 40_000);
});

function readStart(pid: number): string {
  try {
    return (
      readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
        .split(') ')[1]
        ?.split(' ')[19] ?? ''
    );
  } catch {
    return '';
  }
}
