import type { Ecosystem } from '@fixpoint/core/knowledge/ecosystem.ts';
import { plainStatement, type Fact } from '@fixpoint/core/knowledge/facts.ts';
import type { FeedRejection } from '../feed.ts';
import { isCve, parseInstant, rejection } from '../record.ts';
import type { Update, UpdatePackage } from './updateinfo.ts';

export interface UpdateContext {
  readonly ecosystem: Ecosystem;
  readonly release: string;
  readonly channel: string | null;
  /** Page of the advisory where the update itself names none. */
  readonly url: string | null;
  /** Id of the record, for rejections. */
  readonly record: string;
}

export interface UpdateFacts {
  readonly facts: readonly Fact[];
  readonly rejections: readonly FeedRejection[];
}

/**
 * What an update says: an advisory, and for each CVE and each binary package that it is fixed in that version. The package
 * that is listed for several architectures is said once; sources and debug symbols, which run nowhere, are left out.
 */
export function factsOfUpdate(update: Update, context: UpdateContext): UpdateFacts {
  const rejections: FeedRejection[] = [];
  const refuse = (code: string, message: string): void => {
    rejections.push(rejection(`update ${update.id}`, code, message, update.raw, context.record));
  };
  const vulnerabilities = new Set<string>();
  for (const reference of update.references) {
    if (reference.type.toLowerCase() !== 'cve') continue;
    const cve = reference.id.trim().toUpperCase();
    if (isCve(cve)) vulnerabilities.add(cve);
    else refuse('id_unknown', `${JSON.stringify(reference.id)} is not a CVE id`);
  }
  const fixed = fixedPackages(update, refuse);
  const self = update.references.find(({ type, href }) => type === 'self' && href !== '');
  const issuedAt = instantOf(update.issued);
  const changedAt = instantOf(update.updated) ?? issuedAt;
  const facts: Fact[] = [
    {
      kind: 'advisory',
      id: update.id,
      title: update.title === '' ? update.id : update.title,
      publishedAt: issuedAt,
      withdrawnAt: null,
      vulnerabilities: [...vulnerabilities],
      url: self?.href ?? context.url,
    },
  ];
  for (const vulnerability of vulnerabilities) {
    for (const { name, module, version } of fixed) {
      facts.push({
        ...plainStatement,
        vulnerability,
        ecosystem: context.ecosystem,
        release: context.release,
        package: name,
        packageKind: 'binary',
        module,
        channel: context.channel,
        status: 'fixed',
        fixedVersion: version,
        fixState: 'available',
        note: update.severity === '' ? null : update.severity,
        advisory: update.id,
        statedAt: changedAt,
      });
    }
  }
  return { facts, rejections };
}

interface FixedPackage {
  readonly name: string;
  readonly module: string | null;
  readonly version: string;
}

function fixedPackages(
  update: Update,
  refuse: (code: string, message: string) => void,
): readonly FixedPackage[] {
  const fixed = new Map<string, FixedPackage>();
  for (const collection of update.collections) {
    for (const entry of collection.packages) {
      if (entry.arch === 'src' || entry.arch === 'nosrc' || isDebug(entry.name)) continue;
      if (entry.name === '' || entry.version === '' || entry.release === '') {
        refuse(
          'package_incomplete',
          `a package lacks its name, version or release: ${JSON.stringify(entry)}`,
        );
        continue;
      }
      const version = evrOf(entry);
      const module = collection.module ?? (/\.module[+_]/u.test(entry.release) ? '?' : null);
      fixed.set(`${entry.name}\t${version}\t${module ?? ''}`, { name: entry.name, module, version });
    }
  }
  return [...fixed.values()];
}

/** `epoch:version-release`, without an epoch of 0, as rpm prints it. */
export function evrOf(entry: Pick<UpdatePackage, 'epoch' | 'version' | 'release'>): string {
  const epoch = entry.epoch === '' || entry.epoch === '0' ? '' : `${entry.epoch}:`;
  return `${epoch}${entry.version}-${entry.release}`;
}

/** Symbols and sources for debuggers: `kernel-debuginfo-common-x86_64`, `curl-debugsource`. */
export function isDebug(name: string): boolean {
  return /-(?:debuginfo|debugsource)(?:$|-)/u.test(name);
}

/**
 * Times as publishers write them: RFC 3339, `2023-02-17 22:46` and `2023-02-17 22:46:30` (Amazon, Red Hat; UTC), a day, or
 * seconds since 1970 (SUSE). Null for another text.
 */
export function instantOf(text: string): string | null {
  const trimmed = text.trim();
  if (/^[0-9]{9,10}$/u.test(trimmed)) return new Date(Number(trimmed) * 1000).toISOString();
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/u.test(trimmed)) return parseInstant(`${trimmed}T00:00:00Z`);
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}$/u.test(trimmed))
    return parseInstant(`${trimmed}:00Z`);
  return parseInstant(trimmed);
}
