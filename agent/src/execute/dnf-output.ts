import { compareVersions } from '@fixpoint/core/version/version.ts';
import { writeEvr } from '@fixpoint/core/inventory/rpm-query.ts';
import type { ExecutorStep, Judgement, OrderedChanges, Simulated } from './executor.ts';
import { classifyRpmFailure, differenceOfRpm, failed, failedScripts } from './rpm-output.ts';
import { stepTitles } from './step-titles.ts';

/** Pure readers of what dnf 4 and yum 3 write; held to recorded output (dnf 4.14; yum and dnf 5: samples of our own). */

/** The line that the simulation's script adds for each package of the table that is installed: `was NAME ARCH EVR`. */
const wasLine = /^was (\S+) (\S+) (\S+)$/u;

/**
 * Reads the table of a transaction: headings, and below them rows of name, architecture, version, repository and size, where a
 * long name has its other columns in the next line. `replacing NAME.ARCH VERSION` below a row is what it obsoletes; dnf 5 writes
 * `replacing NAME ARCH VERSION …` for what it upgrades as well.
 */
export function parseDnfTransaction(output: string): Simulated {
  const lines = output.split('\n');
  const installed = new Map<string, string>();
  for (const line of lines) {
    const [, name, arch, evr] = wasLine.exec(line) ?? [];
    if (name === undefined || arch === undefined || evr === undefined) continue;
    const version = withoutEpochZero(evr);
    // Of kernels there may be several, of which the newest counts.
    const other = installed.get(`${name}.${arch}`);
    if (other === undefined || compareVersions('rpm', version, other) === 'greater') {
      installed.set(`${name}.${arch}`, version);
    }
  }
  const changed: Simulated['changed'][number][] = [];
  const removed: Simulated['removed'][number][] = [];
  let kind: 'change' | 'remove' | null = null;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? '';
    if (line.startsWith('Transaction Summary')) break;
    if (/^\S/u.test(line)) {
      kind = kindOf(line) ?? (line.endsWith(':') ? null : kind);
      continue;
    }
    const replaced = /^\s+replacing\s+(\S+)\s+(\S+)(?:\s+(\S+))?/u.exec(line);
    if (replaced !== null) {
      const gone = readReplaced(replaced);
      const by = changed.at(-1);
      if (gone.name === by?.name && gone.arch === by.arch) {
        changed[changed.length - 1] = { ...by, from: gone.version };
      } else removed.push(gone);
      continue;
    }
    if (kind === null || !/^ \S/u.test(line)) continue;
    let columns = line.trim().split(/\s+/u);
    if (columns.length < 4) columns = [...columns, ...(lines[++i] ?? '').trim().split(/\s+/u)];
    const [name, arch, evr] = columns;
    if (name === undefined || arch === undefined || evr === undefined) continue;
    const version = withoutEpochZero(evr);
    if (kind === 'remove') removed.push({ name, arch, version });
    else {
      changed.push({ name, arch, from: installed.get(`${name}.${arch}`) ?? null, to: version });
    }
  }
  return { changed, removed, downloadBytes: null, diskBytes: null };
}

function kindOf(heading: string): 'change' | 'remove' | null {
  if (/^(?:Installing|Upgrading|Updating|Downgrading|Reinstalling)\b.*:$/u.test(heading)) return 'change';
  return /^Removing\b.*:$/u.test(heading) ? 'remove' : null;
}

function readReplaced(match: RegExpExecArray): { name: string; arch: string; version: string } {
  const [, first = '', second = '', third] = match;
  // dnf 5 writes three columns, of which the third is a version.
  if (third !== undefined && /-/u.test(third)) {
    return { name: first, arch: second, version: withoutEpochZero(third) };
  }
  const dot = first.lastIndexOf('.');
  return { name: first.slice(0, dot), arch: first.slice(dot + 1), version: withoutEpochZero(second) };
}

function withoutEpochZero(evr: string): string {
  return evr.replace(/^(?:0|\(none\)):/u, '');
}

/** `name-epoch:version-release.arch`: exactly that package, also where a name ends in a version. */
export function nevraOf(p: {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
}): string {
  return `${p.name}-${/^\d+:/u.test(p.version) ? '' : '0:'}${p.version}.${p.arch}`;
}

/** Reads the end of one command of dnf or yum. */
export function judgeDnf(
  step: ExecutorStep,
  exitCode: number,
  output: string,
  changes: OrderedChanges,
): Judgement {
  const title = stepTitles[step];
  const unmet = unmetArgument(output);
  if (unmet !== null && (step === 'simulate' || step === 'download' || step === 'install' || step === 'keep'))
    return unmet;
  if (exitCode !== 0) {
    const { failure, line } = classifyRpmFailure(output);
    return failed(failure, `${title} failed: ${line}`);
  }
  if (step === 'install' || step === 'roll_back') {
    const scripts = failedScripts(output);
    return scripts === null
      ? { ok: true }
      : failed(
          'maintainer_script_failed',
          `The packages are installed, but scripts of them failed: ${scripts}`,
        );
  }
  if (step !== 'simulate') return { ok: true };
  const modules = /^(?:Enabling|Disabling|Switching|Resetting) module.*:$/mu.exec(output)?.[0];
  if (modules !== undefined) {
    return failed('plan_differs', `Beyond the order, module streams would change (${modules})`);
  }
  const difference = differenceOfRpm(parseDnfTransaction(output), changes);
  return difference === null ? { ok: true } : failed('plan_differs', `Beyond the order, ${difference}.`);
}

/** dnf goes on with the others where a package is not to be had, or not installed. */
function unmetArgument(output: string): Judgement | null {
  const missing = /^Package (\S+) available, but not installed/mu.exec(output)?.[1];
  if (missing !== undefined) return failed('plan_differs', `${missing} is not installed on this host.`);
  const excluded = /^.*filtered out by exclude filtering.*$/mu.exec(output)?.[0];
  if (excluded !== undefined) {
    return failed('plan_differs', `The configuration of this host excludes it: ${excluded.trim()}`);
  }
  const unknown =
    /^No match for argument: (\S+)/mu.exec(output)?.[1] ??
    /^No package (\S+) available\./mu.exec(output)?.[1] ??
    /^Installed package (\S+) .*not available\.?$/mu.exec(output)?.[1];
  return unknown === undefined
    ? null
    : failed('version_not_available', `No repository of this host offers ${unknown}.`);
}

export interface PackageSize {
  readonly nevra: string;
  readonly downloadBytes: number;
  readonly installedBytes: number;
}

/** What `sizesQuery` prints: name, architecture, epoch, version, release, download and installed size, with tabs between. */
export const sizesQuery =
  ['%{name}', '%{arch}', '%{epoch}', '%{version}', '%{release}', '%{downloadsize}', '%{installsize}'].join(
    '\\t',
  ) + '\\n';

/** The same for the repoquery of yum-utils, which has other names for sizes. */
export const sizesQueryOfYum = sizesQuery
  .replace('%{downloadsize}', '%{packagesize}')
  .replace('%{installsize}', '%{installedsize}');

export function parseSizes(text: string): PackageSize[] {
  return text.split('\n').flatMap((line) => {
    const [name, arch, epoch, version, release, download, installed] = line.split('\t');
    if (!name || !arch || epoch === undefined || !version || !release) return [];
    return [
      {
        nevra: nevraOf({ name, arch, version: writeEvr(epoch, version, release) }),
        downloadBytes: Number(download) || 0,
        installedBytes: Number(installed) || 0,
      },
    ];
  });
}
