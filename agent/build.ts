import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Builds the agent as one file that runs on any Debian host of this architecture (glibc 2.17 or newer, nothing else):
 * `node agent/build.ts`. Does nothing when no source has changed. Prints the size, and the time from start to end of
 * `--version`.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const bun = join(root, 'node_modules/@oven/bun-linux-x64-baseline/bin/bun');

export const agentProgram = join(root, 'agent/dist/fixpoint-agent');

/** Builds if needed and gives the program's path. Throws with the compiler's output when it cannot be built. */
export function buildAgent(): { readonly program: string; readonly built: boolean } {
  const digest = sourceDigest();
  const stamp = `${agentProgram}.sources`;
  if (existsSync(agentProgram) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
    return { program: agentProgram, built: false };
  }
  mkdirSync(join(root, 'agent/dist'), { recursive: true });
  rmSync(stamp, { force: true });
  const run = spawnSync(
    bun,
    ['build', '--compile', '--minify-syntax', 'agent/src/main.ts', '--outfile', agentProgram],
    { cwd: root, encoding: 'utf8', timeout: 120_000 },
  );
  if (run.status !== 0)
    throw new Error(`the agent cannot be built: ${run.stderr}${run.stdout}${String(run.error ?? '')}`);
  writeFileSync(stamp, digest);
  return { program: agentProgram, built: true };
}

/** Of everything that goes into the file: sources, dependencies by the lockfile, the compiler's version. */
function sourceDigest(): string {
  const hash = createHash('sha256');
  const files = ['agent', 'core', 'contract'].flatMap((room) =>
    globSync(`${room}/src/**/*.ts`, { cwd: root }).filter((file) => !file.endsWith('.test.ts')),
  );
  for (const file of [...files.sort(), 'package-lock.json', 'agent/build.ts']) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { program, built } = buildAgent();
  const before = performance.now();
  const run = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  const milliseconds = performance.now() - before;
  if (run.status !== 0) throw new Error(`the agent that was built does not start: ${run.stderr}`);
  const size = (statSync(program).size / 1024 / 1024).toFixed(1);
  process.stdout.write(
    `${program} ${run.stdout.trim()}: ${built ? 'built' : 'up to date'}, ${size} MiB, starts in ${milliseconds.toFixed(0)} ms\n`,
  );
}
