import { resolve } from 'node:path';
import { now } from '../clock.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import type { KnowledgeSourceOptions } from '../knowledge/local.ts';
import { note, print } from '../output/stream.ts';
import { ageSentence } from '../scan/age.ts';
import type { ReadLists } from '../scan/apt-lists.ts';
import { assessSubject, type SubjectAssessment } from '../scan/assess-subject.ts';
import { scanText, summaryOf } from '../scan/report.ts';
import { rootSubject, type ScanSubject } from '../scan/subject.ts';

export const scanHelp = `Usage: fixpoint scan [--root DIR | --sbom FILE] [--format FORMAT] [--fail-on any|fixable]

Finds the known vulnerabilities of this machine, of the root folder of another (an unpacked image, a chroot, a mounted
disk), or of what an SBOM lists, without a server. Exploited ones come first, then the ones likely to be.

Options:
  --root DIR        root folder to scan (default: /, this machine): Debian and Ubuntu, the Red Hat and SUSE families,
                    Amazon Linux, Alpine, Wolfi. RPM roots need the program rpm on this machine
  --sbom FILE       judge the packages of a CycloneDX (1.4 to 1.6) or SPDX (2.2, 2.3) document in JSON instead
  --format FORMAT   table (default), json, sarif (SARIF 2.1.0) or cyclonedx-vex (CycloneDX 1.6);
                    --json is the same as --format json
  --fail-on WHAT    exit with 1 when there is any finding or anything that could not be judged (any),
                    or a finding that has a patch (fixable)
  --knowledge PATH  judge by this knowledge file, or the one of a folder that fits, instead of Fixpoint's own data
                    (also FIXPOINT_KNOWLEDGE); fixpoint knowledge make makes them
  -h, --help        show this

Exit codes: 0 scanned, 1 --fail-on matched, 2 wrong usage, 7 nothing can be judged (no or damaged package database,
an unknown release, no right to read, no SBOM).
`;

/** What only a slow start brings along; a fast one has a way to ask for it. */
export interface ScanSources extends Pick<KnowledgeSourceOptions, 'folder' | 'make'> {
  readonly readLists: ReadLists;
  readonly sbomSubject: (file: string, options: KnowledgeSourceOptions) => Promise<ScanSubject>;
  readonly sarifLog: (subject: ScanSubject, assessed: SubjectAssessment) => Promise<object>;
  readonly vexDocument: (subject: ScanSubject, at: Date) => Promise<object>;
}

/** `fixpoint scan …`, without commander so that it starts fast. */
export async function scan(argv: readonly string[], own: ScanSources): Promise<ExitCode> {
  const values = readOptions(argv);
  if (values.help === true) {
    print(scanHelp);
    return exitCodes.ok;
  }
  const format = values.json === true ? 'json' : oneOf('--format', values.format ?? 'table', formats);
  const failOn = values.failOn === undefined ? null : oneOf('--fail-on', values.failOn, ['any', 'fixable']);
  if (values.root !== undefined && values.sbom !== undefined) throw wrong('--root and --sbom are both given');
  const named = process.env['FIXPOINT_KNOWLEDGE'] ?? '';
  const options = { file: values.knowledge ?? (named === '' ? null : named), ...own };
  const subject =
    values.sbom === undefined
      ? await rootSubject(resolve(values.root ?? '/'), options, own.readLists)
      : await own.sbomSubject(resolve(values.sbom), options);
  const assessed = assessSubject(subject);
  warnOfAge(subject);
  print(await written(format, subject, assessed, own));
  if (subject.parts.length === 0) {
    throw new Failure(
      exitCodes.inputUnusable,
      'nothing_judged',
      'nothing could be judged, which does not mean that it is safe',
      'The reasons are in the output, for each package.',
    );
  }
  const summary = summaryOf(assessed.assessment);
  if (failOn === 'any')
    return summary.findings + summary.undetermined > 0 ? exitCodes.checkFailed : exitCodes.ok;
  if (failOn === 'fixable') return summary.with_patch > 0 ? exitCodes.checkFailed : exitCodes.ok;
  return exitCodes.ok;
}

const formats = ['table', 'json', 'sarif', 'cyclonedx-vex'] as const;

async function written(
  format: (typeof formats)[number],
  subject: ScanSubject,
  assessed: SubjectAssessment,
  own: ScanSources,
): Promise<string> {
  switch (format) {
    case 'table':
      return scanText(subject, assessed.assessment);
    case 'json':
      return JSON.stringify(scanDocument(subject, assessed), null, 2);
    case 'sarif':
      return JSON.stringify(await own.sarifLog(subject, assessed), null, 2);
    case 'cyclonedx-vex':
      return JSON.stringify(await own.vexDocument(subject, now()), null, 2);
  }
}

function scanDocument({ source, parts }: ScanSubject, { assessment }: SubjectAssessment): object {
  const [first] = parts;
  const about =
    source.kind === 'root' && first !== undefined
      ? { root: source.root, ...first.os, packages: first.packages.length, knowledge: first.knowledge.header }
      : source.kind === 'sbom'
        ? {
            sbom: source.file,
            sbom_format: source.format,
            not_packages: source.notPackages,
            systems: parts.map(({ os, packages, knowledge }) => ({
              ...os,
              packages: packages.length,
              knowledge: knowledge.header,
            })),
          }
        : {};
  return {
    format: 1,
    ...about,
    scanned_at: now().toISOString(),
    summary: summaryOf(assessment),
    ...assessment,
  };
}

/** Once for each feed, however many systems are judged by it. */
function warnOfAge({ parts }: ScanSubject): void {
  const feeds = parts.flatMap(({ knowledge }) => knowledge.header.feeds);
  const unique = [...new Map(feeds.map((feed) => [`${feed.id} ${String(feed.as_of)}`, feed])).values()];
  const old = ageSentence({ feeds: unique }, now());
  if (old !== null) note(`warning: ${old}`);
}

interface ScanOptions {
  root?: string;
  sbom?: string;
  format?: string;
  failOn?: string;
  knowledge?: string;
  json?: boolean;
  help?: boolean;
}

const valueOptions: Readonly<Record<string, 'root' | 'sbom' | 'format' | 'failOn' | 'knowledge'>> = {
  '--root': 'root',
  '--sbom': 'sbom',
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

function oneOf<Value extends string>(option: string, value: string, allowed: readonly Value[]): Value {
  const known = allowed.find((one) => one === value);
  if (known !== undefined) return known;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${option} is ${JSON.stringify(value)}`,
    `Give ${option} one of: ${allowed.join(', ')}.`,
  );
}
