import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { resolve } from 'node:path';
import { parseOsRelease, type OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { now } from '../clock.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { localKnowledge, type KnowledgeSourceOptions } from '../knowledge/local.ts';
import { note, print } from '../output/stream.ts';
import { ageSentence } from '../scan/age.ts';
import { assess } from '../scan/assess.ts';
import type { RunningKernel } from '../scan/judge.ts';
import { scanText, summaryOf } from '../scan/report.ts';
import type { ReadLists } from '../scan/apt-lists.ts';
import { readPackages } from '../scan/packages.ts';
import { checkRoot, readInRoot } from '../scan/root.ts';

export const scanHelp = `Usage: fixpoint scan [--root DIR] [--format table|json] [--fail-on any|fixable]

Finds the known vulnerabilities of this machine, or of the root folder of another (an unpacked image, a chroot, a mounted
disk), without a server. Exploited ones come first, then the ones likely to be.

Options:
  --root DIR        root folder to scan (default: /, this machine)
  --format FORMAT   table (default) or json; --json is the same as --format json
  --fail-on WHAT    exit with 1 when there is any finding or anything that could not be judged (any),
                    or a finding that has a patch (fixable)
  --knowledge FILE  judge by this knowledge file instead of Fixpoint's own data (also FIXPOINT_KNOWLEDGE)
  -h, --help        show this

Exit codes: 0 scanned, 1 --fail-on matched, 2 wrong usage, 7 the root cannot be judged (no or damaged dpkg status,
an unknown release, no right to read).
`;

/** What only a slow start brings along; a fast one has a way to ask for it. */
export interface ScanSources extends Pick<KnowledgeSourceOptions, 'folder' | 'make'> {
  readonly readLists: ReadLists;
}

/** `fixpoint scan …`, without commander so that it starts fast. */
export async function scan(argv: readonly string[], own: ScanSources): Promise<ExitCode> {
  const values = readOptions(argv);
  if (values.help === true) {
    print(scanHelp);
    return exitCodes.ok;
  }
  const format =
    values.json === true ? 'json' : oneOf('--format', values.format ?? 'table', ['table', 'json']);
  const failOn = values.failOn === undefined ? null : oneOf('--fail-on', values.failOn, ['any', 'fixable']);
  const root = resolve(values.root ?? '/');
  checkRoot(root);
  const os = readOsRelease(root);
  const installed = await readPackages(root, os, own.readLists);
  const named = process.env['FIXPOINT_KNOWLEDGE'] ?? '';
  const knowledge = await localKnowledge(os, {
    file: values.knowledge ?? (named === '' ? null : named),
    ...own,
  });
  // localKnowledge has refused a system that no feed knows.
  const packages = installed?.packages ?? [];
  const { affected: _, ...assessment } = assess(packages, knowledge, runningKernel(root));
  const summary = summaryOf(assessment);
  const old = ageSentence(knowledge.header, now());
  if (old !== null) note(`warning: ${old}`);
  if (format === 'json') {
    const document = {
      format: 1,
      root,
      os: os.os,
      os_release: os.os_release,
      os_title: os.os_title,
      scanned_at: now().toISOString(),
      packages: packages.length,
      knowledge: knowledge.header,
      summary,
      ...assessment,
    };
    print(JSON.stringify(document, null, 2));
  } else {
    print(
      scanText(
        { root, os_title: os.os_title, packages: packages.length, knowledge: knowledge.header },
        assessment,
      ),
    );
  }
  if (failOn === 'any')
    return summary.findings + summary.undetermined > 0 ? exitCodes.checkFailed : exitCodes.ok;
  if (failOn === 'fixable') return summary.with_patch > 0 ? exitCodes.checkFailed : exitCodes.ok;
  return exitCodes.ok;
}

interface ScanOptions {
  root?: string;
  format?: string;
  failOn?: string;
  knowledge?: string;
  json?: boolean;
  help?: boolean;
}

const valueOptions: Readonly<Record<string, 'root' | 'format' | 'failOn' | 'knowledge'>> = {
  '--root': 'root',
  '--format': 'format',
  '--fail-on': 'failOn',
  '--knowledge': 'knowledge',
};

/** Our own few lines, because loading node:util for its parseArgs takes a tenth of a scan. */
function readOptions(argv: readonly string[]): ScanOptions {
  const options: ScanOptions = {};
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i] ?? '';
    const equals = argument.startsWith('--') ? argument.indexOf('=') : -1;
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const key = Object.hasOwn(valueOptions, name) ? valueOptions[name] : undefined;
    if (key !== undefined) {
      const value = equals < 0 ? argv[++i] : argument.slice(equals + 1);
      if (value === undefined || value === '') throw wrong(`${name} is given without a value`);
      options[key] = value;
    } else if (argument === '--json') options.json = true;
    else if (argument === '--help' || argument === '-h') options.help = true;
    else
      throw wrong(
        `scan has no ${argument.startsWith('-') ? 'option' : 'argument'} ${JSON.stringify(argument)}`,
      );
  }
  return options;
}

function wrong(message: string): Failure {
  return new Failure(exitCodes.usage, 'usage', message, 'fixpoint scan --help shows what there is.');
}

function oneOf(option: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${option} is ${JSON.stringify(value)}`,
    `Give ${option} one of: ${allowed.join(', ')}.`,
  );
}

function readOsRelease(root: string): OsRelease {
  const text = readInRoot(root, '/etc/os-release') ?? readInRoot(root, '/usr/lib/os-release');
  if (text !== null) return parseOsRelease(text);
  throw new Failure(
    exitCodes.inputUnusable,
    'os_release_missing',
    `${root} has neither etc/os-release nor usr/lib/os-release, so its release is not known`,
    'Give --root the folder that holds the etc and usr folders of the system to scan.',
  );
}

/** Marks of the common container runtimes; see container_detect in systemd's virt.c for the same list. */
const containerMarks = ['/run/systemd/container', '/.dockerenv', '/run/.containerenv'];

function runningKernel(root: string): RunningKernel {
  if (root !== '/') return { kind: 'unknown' };
  if (containerMarks.some((mark) => existsSync(mark))) return { kind: 'container' };
  return { kind: 'running', release: release() };
}
