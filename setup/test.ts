/**
 * `npm test [-- options] [-- paths]`: every check of the project in order, and a count as the very last line.
 *
 *   --unit     leave out the tests that boot real hosts
 *   --lab      only the tests that boot real hosts
 *   <path>…    only test files whose path contains one of these; the static checks are left out then
 *
 * A static check counts as one test. Exit code: 0 when nothing failed, else 1.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { countTests, type Counts } from './test-counts.ts';

const root = dirname(import.meta.dirname);
const reports = mkdtempSync(join(tmpdir(), 'fixpoint-test-report-'));

/** What the lab needs on the PATH, with the Debian package that has it. `.ci/run` installs the same packages. */
const labCommands: ReadonlyArray<readonly [command: string, debianPackage: string]> = [
  ['debootstrap', 'debootstrap'],
  ['systemd-nspawn', 'systemd-container'],
  ['dpkg-deb', 'dpkg'],
  ['dpkg-scanpackages', 'dpkg-dev'],
  ['apt-ftparchive', 'apt-utils'],
  ['gpg', 'gnupg'],
  ['ip', 'iproute2'],
  ['zstd', 'zstd'],
  ['xz', 'xz-utils'],
];

const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const paths = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const unknown = options.filter((option) => option !== '--unit' && option !== '--lab');
if (unknown.length > 0) {
  console.error(
    `npm test: unknown option ${unknown.join(' ')}; there are --unit, --lab and paths of test files`,
  );
  process.exit(2);
}
const onlyUnit = options.includes('--unit');
const onlyLab = options.includes('--lab');

let child: ChildProcess | undefined;
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true;
    // Under a terminal the child has had Ctrl-C already; a second one would cut vitest's own clean-up short.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child?.kill(signal);
  });
}

/** Written by failure-reporter.ts. */
const failedTests = join(reports, 'failed-tests.txt');
process.env['TEST_FAILURES_FILE'] = failedTests;
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const durations: string[] = [];

if (!onlyLab) {
  if (paths.length === 0) {
    await staticCheck('format', 'oxfmt', ['oxfmt/bin/oxfmt', '--check', '.'], 'run: npm run format');
    await staticCheck(
      'lint',
      'oxlint, with types',
      ['oxlint/bin/oxlint', '--type-aware', '--deny-warnings', '.'],
      'each line above names its rule; the rules are in .oxlintrc.json',
    );
    await staticCheck(
      'types',
      'tsc',
      ['typescript/bin/tsc', '-p', '.', '--noEmit'],
      'the errors above name file and line',
    );
  } else {
    console.log('format, lint and types are left out because paths were named');
  }
  await testRun('unit', paths);
}
if (!onlyUnit) {
  const labFiles = globSync('lab/src/**/*.lab.test.ts', { cwd: root });
  const wanted = labFiles.filter((file) => paths.length === 0 || paths.some((path) => file.includes(path)));
  const obstacles = labObstacles();
  if (wanted.length === 0) {
    if (onlyLab) console.log('lab: there is no such test file');
  } else if (obstacles.length > 0) {
    total.skipped += wanted.length;
    console.log(`\n${'!'.repeat(78)}\n!! lab: SKIPPED, ${wanted.length} test file(s) did not run:`);
    for (const obstacle of obstacles) console.log(`!!   ${obstacle}`);
    console.log(`!! what to do: as root on a Debian machine, run .ci/run\n${'!'.repeat(78)}`);
  } else {
    await testRun('lab', paths);
  }
}

if (existsSync(failedTests)) console.log(`\n${readFileSync(failedTests, 'utf8').trimEnd()}`);
rmSync(reports, { recursive: true, force: true });
console.log(`\n${durations.join(' · ')}`);
if (failures.length > 0) console.log(`failed: ${failures.join(', ')}`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 || interrupted ? 1 : 0;

/** Runs one tool of node_modules; counts as one test. */
async function staticCheck(
  name: string,
  tool: string,
  command: readonly string[],
  hint: string,
): Promise<void> {
  const { code, seconds } = await step(`${name} (${tool})`, command);
  if (code === 0) {
    total.passed++;
    console.log(`${name}: passed in ${seconds} s`);
  } else {
    total.failed++;
    failures.push(name);
    console.log(`${name}: FAILED after ${seconds} s (${hint})`);
  }
  durations.push(`${name} ${seconds} s`);
}

/** Runs one vitest project and adds up what it reports. */
async function testRun(project: 'unit' | 'lab', filters: readonly string[]): Promise<void> {
  const report = join(reports, `${project}.json`);
  const { code, seconds } = await step(`tests: ${project} (vitest)`, [
    'vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--passWithNoTests',
    '--reporter=default',
    '--reporter=json',
    `--reporter=${join(root, 'setup/failure-reporter.ts')}`,
    // A machine that others use too can be slow for a moment. What passed at the second try only is named at the end.
    '--retry=1',
    `--outputFile.json=${report}`,
    ...filters,
  ]);
  const counts = countTests(existsSync(report) ? readFileSync(report, 'utf8') : undefined, code);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  if (counts.failed > 0) failures.push(`${project} tests`);
  const verdict = counts.failed > 0 ? 'FAILED after' : 'passed in';
  console.log(`${project} tests: ${verdict} ${seconds} s (${counts.passed} passed, ${counts.failed} failed)`);
  durations.push(`${project} tests ${seconds} s`);
}

/** Runs `node_modules/<command>` on this Node with our output; tells its exit code and how long it took. */
async function step(title: string, command: readonly string[]): Promise<{ code: number; seconds: string }> {
  if (interrupted) return { code: 130, seconds: '0.0' };
  console.log(`\n── ${title}`);
  const started = performance.now();
  const [program = '', ...rest] = command;
  const code = await new Promise<number>((resolve) => {
    child = spawn(process.execPath, [join(root, 'node_modules', program), ...rest], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('error', (error) => {
      console.error(error.message);
      resolve(127);
    });
    child.on('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  return { code, seconds: ((performance.now() - started) / 1000).toFixed(1) };
}

/** Why the lab cannot run here, one line a reason; empty when it can. */
function labObstacles(): string[] {
  if (process.platform !== 'linux') return [`it needs Linux; this is ${process.platform}`];
  const obstacles: string[] = [];
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  for (const [command, debianPackage] of labCommands) {
    if (!folders.some((folder) => existsSync(join(folder, command)))) {
      obstacles.push(`the command ${command} is missing (Debian package ${debianPackage})`);
    }
  }
  if (process.getuid?.() !== 0) {
    obstacles.push('it boots hosts in containers and therefore needs root');
  } else if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
    obstacles.push('root may not create mount namespaces here (a container without CAP_SYS_ADMIN)');
  }
  return obstacles;
}
