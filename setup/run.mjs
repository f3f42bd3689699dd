#!/usr/bin/env node
/**
 * What every npm script goes through: `node setup/run.mjs <task> [arguments]`.
 *
 * It may be started by any Node from 20 on, so it is plain JavaScript. It makes sure that node_modules is what
 * package-lock.json says, finds the Node version which the project pins (an npm package, so npm fetches it), and
 * hands over to the real program on that Node: its exit code is ours, and signals reach it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.fixpoint-setup');
const pinnedNode = join(modules, '.bin', 'node');

/** Task name → the program it runs and the arguments that come before the caller's own. */
const tasks = {
  start: ['cli/src/main.ts', 'up'],
  fixpoint: ['cli/src/main.ts'],
  test: ['setup/test.ts'],
  bench: ['bench/src/main.ts'],
  quality: ['quality/src/main.ts'],
  lab: ['lab/src/main.ts'],
  schema: ['server/src/database/write-schema.ts'],
  openapi: ['server/src/openapi.ts'],
  format: ['node_modules/oxfmt/bin/oxfmt', '.'],
};

const [task, ...taskArguments] = process.argv.slice(2);
if (task === undefined || !Object.hasOwn(tasks, task)) {
  fail(`unknown task ${JSON.stringify(task ?? '')}`, `use one of: ${Object.keys(tasks).join(', ')}`);
}
if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Node ${process.versions.node} is too old`, 'install Node 20 or newer, with npm, and run this again');
}

await installIfNeeded();

if (!existsSync(pinnedNode)) {
  fail(
    `there is no Node of our own for ${process.platform}-${process.arch}`,
    'Fixpoint runs on Linux with glibc, on x64 or arm64. If this is such a machine, npm left optional packages out: ' +
      'remove node_modules and run this again without --omit=optional',
  );
}
const [program, ...firstArguments] = tasks[task];
// The command line takes relative paths from where the caller stands, not from the folder npm goes to.
const workingFolder = task === 'fixpoint' ? (process.env.INIT_CWD ?? process.cwd()) : root;
process.exitCode = await run(
  pinnedNode,
  [join(root, program), ...firstArguments, ...taskArguments],
  workingFolder,
);

/** Makes node_modules match the lockfile. Needs the network only when it does not match yet. */
async function installIfNeeded() {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const digest = createHash('sha256').update(`${process.platform} ${process.arch}\n${lock}`).digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8').trim() === digest) return;
  if (!isInstalled(JSON.parse(lock))) {
    console.log(
      'setup: installing the packages of package-lock.json with npm (needed once, uses the network)',
    );
    // Not "npm ci": it insists on lock entries for the optional parts of other platforms, which npm leaves out of the
    // lockfile when a registry does not carry them. This takes the same versions, checks the same hashes, writes no
    // lockfile, and does not delete what is already right.
    const flags = ['install', '--no-save', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
    flags.push('--loglevel=error');
    // Under "npm run" npm tells where it is; it may not be on the PATH at all.
    const npm = process.env.npm_execpath;
    const code = npm?.endsWith('.js')
      ? await run(process.execPath, [npm, ...flags])
      : await run('npm', flags);
    if (code !== 0 || !isInstalled(JSON.parse(lock))) {
      fail(
        code !== 0
          ? `npm install failed (exit code ${code})`
          : 'npm did not install what package-lock.json says',
        'see the lines above. Without a network, install once where there is one; after that nothing is fetched. ' +
          'If package.json was changed, run "npm install" once to bring the lockfile up to date',
      );
    }
    console.log('setup: packages installed');
  }
  writeFileSync(stampFile, `${digest}\n`);
}

/**
 * Whether node_modules already is what the lockfile says, by npm's own record of what it installed. So a person who
 * ran "npm install" is not made to install everything again.
 */
function isInstalled(lock) {
  const recordFile = join(modules, '.package-lock.json');
  if (!existsSync(recordFile)) return false;
  const record = JSON.parse(readFileSync(recordFile, 'utf8'));
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.includes('node_modules/')) return true;
    const got = record.packages[path];
    if (got === undefined) return wanted.optional === true && !isForThisPlatform(wanted);
    return (
      got.version === wanted.version && got.integrity === wanted.integrity && existsSync(join(root, path))
    );
  });
}

/** Whether an optional package is made for this platform; one without a platform only serves such packages. */
function isForThisPlatform(entry) {
  if (entry.os === undefined && entry.cpu === undefined) return false;
  if (entry.os && !entry.os.includes(process.platform)) return false;
  if (entry.cpu && !entry.cpu.includes(process.arch)) return false;
  const glibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return !entry.libc || entry.libc.includes(glibc ? 'glibc' : 'musl');
}

/** Runs a program with our terminal until it ends; answers its exit code, 128 + number for a signal as shells do. */
function run(command, commandArguments, cwd = root) {
  return new Promise((resolve) => {
    const child = spawn(command, commandArguments, {
      cwd,
      stdio: 'inherit',
      env: { ...process.env, PATH: `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}` },
    });
    let lastInterrupt = -Infinity;
    const forward = (signal) => {
      // A terminal sends Ctrl-C to the child as well, and npm sends it to us a second time: a child that takes a
      // second interrupt as "at once" must get one.
      if (signal === 'SIGINT') {
        if (process.stdin.isTTY || performance.now() - lastInterrupt < 500) return;
        lastInterrupt = performance.now();
      }
      child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    const done = (code) => {
      for (const signal of signals) process.off(signal, forward);
      resolve(code);
    };
    child.on('error', (error) => {
      console.error(`setup: cannot start ${command}: ${error.message}`);
      done(127);
    });
    child.on('exit', (code, signal) => done(code ?? 128 + constants.signals[signal]));
  });
}

function fail(message, whatToDo) {
  console.error(`setup: ${message}\n  what to do: ${whatToDo}`);
  process.exit(1);
}
