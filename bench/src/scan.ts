/**
 * A warm scan of a 500-package root as a whole process, beside debsecan on the same root and the same data, in turn, and
 * whether both find the same.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { Type } from 'typebox';
import { knowledgeFolder, localKnowledge } from '@fixpoint/cli/knowledge/local.ts';
import { makeKnowledge } from '@fixpoint/cli/knowledge/make.ts';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { debsecanData, debsecanFindings } from './debsecan.ts';
import { buildRoot, type BuiltRoot } from './root.ts';
import { peakMemory, timeProcess, type Command } from './run-command.ts';
import { grouped, median, report, spread } from './statistics.ts';

const packagesWanted = 500;
const runs = 15;
const targetMs = 200;
const targetRatio = 3;

export async function benchScan(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-bench-'));
  try {
    await measure(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string): Promise<void> {
  const cache = join(folder, 'cache');
  process.env['XDG_CACHE_HOME'] = cache;
  const knowledge = await localKnowledge(
    { os: 'debian', os_release: '12', os_title: 'Debian 12' },
    { file: null, folder: knowledgeFolder(), make: makeKnowledge },
  );
  const root = buildRoot(join(folder, 'root'), packagesWanted, (source) => knowledge.knows('source', source));
  const data = join(folder, 'debsecan');
  mkdirSync(data);
  const bookworm = debsecanData(knowledge);
  writeFileSync(join(data, 'bookworm'), bookworm);
  const none = join(folder, 'none');
  writeFileSync(none, '');

  const output = { fixpoint: join(folder, 'fixpoint.out'), debsecan: join(folder, 'debsecan.out') };
  const fixpoint: Command = {
    program: join(import.meta.dirname, '../../cli/bin/fixpoint'),
    arguments: ['scan', '--root', root.folder],
    environment: { XDG_CACHE_HOME: cache },
  };
  const debsecan: Command = {
    program: 'debsecan',
    // prettier-ignore
    arguments: ['--config', none, '--whitelist', join(folder, 'no-whitelist'), '--source', `file://${data}`, '--suite', 'bookworm', '--status', root.status],
  };

  console.log(
    `\nscan: a root of ${String(root.packages)} packages, whole processes, warm, one after the other in turn`,
  );
  console.log('\n work');
  report(
    'packages',
    `${String(root.packages)} (${root.from}), ${grouped(statSync(root.status).size)} bytes of dpkg status`,
  );
  report(
    'knowledge',
    `${grouped(knowledge.header.decisions)} decisions on ${grouped(knowledge.header.packages)} source packages`,
  );
  report('the same for debsecan', `${grouped(bookworm.length)} bytes, in its format, read from a file`);

  const hasDebsecan = onPath('debsecan');
  const times: Record<'fixpoint' | 'debsecan', number[]> = { fixpoint: [], debsecan: [] };
  timeProcess(fixpoint, output.fixpoint);
  if (hasDebsecan) timeProcess(debsecan, output.debsecan);
  for (let run = 0; run < runs; run++) {
    times.fixpoint.push(succeeded('fixpoint', timeProcess(fixpoint, output.fixpoint)));
    if (hasDebsecan) times.debsecan.push(succeeded('debsecan', timeProcess(debsecan, output.debsecan)));
  }

  console.log('\n time');
  const own = median(times.fixpoint);
  report('fixpoint scan', `${own.toFixed(0)} ms (${spread(times.fixpoint)}, ${String(runs)} runs)`, {
    text: `< ${String(targetMs)} ms`,
    met: own < targetMs,
  });
  const runtime = fastRuntime(cache) ?? process.execPath;
  const bare: Command = { program: runtime, arguments: [none] };
  timeProcess(bare, join(folder, 'bare.out'));
  const bareTimes = Array.from(
    { length: runs },
    () => timeProcess(bare, join(folder, 'bare.out')).milliseconds,
  );
  const floor = median(bareTimes);
  report(
    `of which starting ${basename(runtime)} with an empty program`,
    `${floor.toFixed(0)} ms (${spread(bareTimes)}): the limit, this is ${(own / floor).toFixed(1)}× it`,
  );
  if (hasDebsecan) {
    const ratios = times.debsecan.map((ms, i) => ms / (times.fixpoint[i] ?? Number.NaN));
    const ratio = median(ratios);
    report(
      'debsecan',
      `${median(times.debsecan).toFixed(0)} ms (${spread(times.debsecan)}, ${String(runs)} runs)`,
    );
    report('debsecan / fixpoint, pair by pair', `${ratio.toFixed(1)}× (${spread(ratios, 1)})`, {
      text: `≥ ${String(targetRatio)}×`,
      met: ratio >= targetRatio,
    });
  } else report('debsecan', 'not on the PATH (Debian package debsecan); nothing to compare with');
  report('fixpoint scan, peak memory', megabytes(await peakMemory(fixpoint)));
  if (hasDebsecan) report('debsecan, peak memory', megabytes(await peakMemory(debsecan)));

  if (hasDebsecan) {
    timeProcess({ ...fixpoint, arguments: [...fixpoint.arguments, '--json'] }, output.fixpoint);
    compareFindings(readFileSync(output.fixpoint, 'utf8'), readFileSync(output.debsecan, 'utf8'), root);
  }
  await others(root, folder, own);
}

function succeeded(name: string, run: { milliseconds: number; exitCode: number | null }): number {
  if (run.exitCode === 0) return run.milliseconds;
  throw new Error(`${name} ended with ${String(run.exitCode)}; its time says nothing`);
}

/** What runs the fast start, as the scan that prepared it wrote down; null where there is none. */
function fastRuntime(cache: string): string | null {
  const file = join(cache, 'fixpoint/fast/bun');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

const megabytes = (bytes: number | null): string =>
  bytes === null ? 'not measured' : `${(bytes / 1e6).toFixed(0)} MB`;

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

const ScanOutput = Type.Object({
  findings: Type.Array(Type.Object({ vulnerability: Type.String(), installed: Type.Array(Type.String()) })),
  foreign_packages: Type.Array(Type.Object({ package: Type.String() })),
});

/** Both as sets of (vulnerability, binary package); every difference is put into a class that explains it. */
function compareFindings(own: string, other: string, root: BuiltRoot): void {
  const parsed = parseJson(ScanOutput, own);
  if (!parsed.ok) throw new Error('fixpoint scan --json is not of its own form');
  const ours = new Set(
    parsed.value.findings.flatMap((f) =>
      f.installed.map((one) => `${f.vulnerability} ${one.split(' ')[0] ?? ''}`),
    ),
  );
  const theirs = debsecanFindings(other);
  const foreign = new Set(parsed.value.foreign_packages.map((one) => one.package));
  const classes = new Map<string, number>();
  const count = (name: string): void => void classes.set(name, (classes.get(name) ?? 0) + 1);
  for (const one of theirs) {
    if (ours.has(one)) continue;
    const name = one.split(' ')[1] ?? '';
    const source = root.sourceOf.get(name) ?? '';
    if (/-dbg(?:sym)?$/u.test(name)) {
      count('only debsecan: debug symbols, of which nothing runs');
      continue;
    }
    if (foreign.has(name)) {
      count('only debsecan: packages that Debian did not build, which fixpoint leaves undetermined');
      continue;
    }
    count(
      source === 'linux' || source.startsWith('linux-signed-')
        ? 'only debsecan: binaries of source linux that hold no kernel code (headers, linux-libc-dev)'
        : 'only debsecan: UNEXPLAINED',
    );
  }
  for (const one of ours) {
    if (theirs.has(one)) continue;
    const source = root.sourceOf.get(one.split(' ')[1] ?? '') ?? '';
    count(
      source.startsWith('linux-signed-')
        ? 'only fixpoint: signed kernel images, which debsecan does not look up under linux'
        : 'only fixpoint: UNEXPLAINED',
    );
  }
  console.log('\n agreement, as pairs of (vulnerability, binary package)');
  report(
    'fixpoint, debsecan, both',
    `${grouped(ours.size)}, ${grouped(theirs.size)}, ${grouped([...ours].filter((one) => theirs.has(one)).length)}`,
  );
  if (classes.size === 0) report('differences', 'none');
  for (const [name, n] of classes) console.log(`  ${String(n).padStart(6)}  ${name}`);
}

/** Other scanners, where they are installed. They bring their own data, so only their time is set beside ours. */
async function others(root: BuiltRoot, folder: string, own: number): Promise<void> {
  const scanners: readonly Command[] = [
    {
      program: 'grype',
      arguments: [`dir:${root.folder}`, '-q'],
      environment: { GRYPE_DB_AUTO_UPDATE: 'false', GRYPE_CHECK_FOR_APP_UPDATE: 'false' },
    },
    {
      program: 'trivy',
      arguments: [
        'rootfs',
        '--quiet',
        '--offline-scan',
        '--skip-db-update',
        '--scanners',
        'vuln',
        root.folder,
      ],
    },
    { program: 'osv-scanner', arguments: ['scan', 'source', '--offline', root.folder] },
  ];
  const present = scanners.filter(({ program }) => onPath(program));
  console.log('\n other scanners on the PATH, each with its own data');
  if (present.length === 0) report('grype, trivy, osv-scanner', 'none is here');
  for (const scanner of present) {
    timeProcess(scanner, join(folder, 'other.out'));
    const timed = Array.from({ length: 3 }, () => timeProcess(scanner, join(folder, 'other.out')));
    const ms = median(timed.map(({ milliseconds }) => milliseconds));
    // osv-scanner ends with 1 when it finds something.
    const worked = timed.every(
      ({ exitCode }) => exitCode === 0 || (scanner.program === 'osv-scanner' && exitCode === 1),
    );
    report(
      scanner.program,
      worked
        ? `${ms.toFixed(0)} ms, ${(ms / own).toFixed(1)}× fixpoint, peak ${megabytes(await peakMemory(scanner))}`
        : 'is here, and failed (without its database?)',
      worked ? { text: 'fixpoint is ahead', met: own < ms } : undefined,
    );
  }
}
