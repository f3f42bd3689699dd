import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../knowledge/local.ts';
import { codeOf } from '../output/stream.ts';
import { bundleForBun } from '../run-command.ts';
import { fastFormat, isCurrent, readFastState, stateName, type FastState } from './state.ts';

const root = realpathSync(join(import.meta.dirname, '../../..'));

/** Folders whose files the fast start is made of, or its knowledge. */
const watched = [
  'cli/src',
  'core/src/inventory',
  'core/src/knowledge',
  'core/src/match',
  'core/src/version',
  'server/src/feed',
];

/** Bun, as npm brings it for the agent; there is none for every platform. */
const bunPrograms = ['bun-linux-x64-baseline', 'bun-linux-x64', 'bun-linux-aarch64'].map((name) =>
  join(root, 'node_modules/@oven', name, 'bin/bun'),
);

/**
 * Makes the fast start for the next time, unless it is there. Takes a quarter of a second, after everything has been
 * printed. Whatever goes wrong costs only speed, so it is not told.
 */
export function prepareFast(knowledge: string): void {
  const folder = join(cacheFolder(), 'fast');
  const bun = bunPrograms.find((program) => existsSync(program));
  if (bun === undefined) return;
  const known = readFastState(join(folder, stateName));
  if (
    known?.root === root &&
    known.knowledge === knowledge &&
    isCurrent(known) &&
    existsSync(join(folder, 'bun'))
  )
    return;
  const apart = `${folder}.${String(process.pid)}`;
  try {
    mkdirSync(apart, { recursive: true, mode: 0o700 });
    const state: FastState = { format: fastFormat, root, knowledge, files: stateOfFiles() };
    if (!bundleForBun(bun, join(import.meta.dirname, 'entry.ts'), apart)) return;
    writeFileSync(join(apart, stateName), JSON.stringify(state));
    writeFileSync(join(apart, 'bun'), `${bun}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(apart, folder);
  } catch (error) {
    if (codeOf(error) === '') throw error;
  } finally {
    rmSync(apart, { recursive: true, force: true });
  }
}

function stateOfFiles(): FastState['files'] {
  const files: [string, number, number][] = [];
  const add = (path: string): void => {
    const { size, mtimeMs } = statSync(path);
    files.push([path, size, mtimeMs]);
  };
  for (const name of watched) {
    const folder = join(root, name);
    add(folder);
    for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      if (!/\.test\.ts$|\/(?:golden|recorded|sample)(?:\/|$)/u.test(entry)) add(join(folder, entry));
    }
  }
  return files;
}
