import { compareText } from '@fixpoint/core/knowledge/compare-text.ts';
import { join } from 'node:path';
import type { Candidate, InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { compareVersions } from '@fixpoint/core/version/version.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere } from '../state-dir.ts';
import type { ReadCandidates } from './dnf.ts';

/** What zypper would update to. It keeps to the vendor of what is installed, unless it is configured otherwise. */

export const zypperStampPaths = ['etc/zypp', 'etc/zypp/repos.d', 'var/cache/zypp/solv', 'var/cache/zypp/raw'];

/**
 * Parses `zypper --xmlout list-updates`: `<update kind="package" name= edition= arch= edition-old=><source url= alias=/>`. Null
 * when it is no such list. Zypper tells neither source nor size: the source is that of what is installed. Pure.
 */
export function parseZypperUpdates(text: string, installed: readonly InstalledPackage[]): Candidate[] | null {
  const list = /<update-list>([\s\S]*?)<\/update-list>/u.exec(text)?.[1];
  if (list === undefined) return null;
  const byKey = new Map(installed.map((p) => [`${p.name}:${p.arch}`, p]));
  const candidates: Candidate[] = [];
  for (const [, attributes, body] of list.matchAll(/<update\s([^>]*)>([\s\S]*?)<\/update>/gu)) {
    const update = parseAttributes(attributes ?? '');
    if (update.get('kind') !== 'package') continue;
    const p = byKey.get(`${update.get('name') ?? ''}:${update.get('arch') ?? ''}`);
    const version = update.get('edition')?.replace(/^0:/u, '');
    if (p === undefined || version === undefined) continue;
    if (compareVersions('rpm', version, p.version) !== 'greater') continue;
    const source = parseAttributes(/<source\s([^>]*)\/>/u.exec(body ?? '')?.[1] ?? '');
    candidates.push({
      name: p.name,
      arch: p.arch,
      version,
      source: p.source,
      source_version: version,
      repository: source.get('alias') ?? '',
      download_bytes: 0,
    });
  }
  return candidates.sort((a, b) => compareText(a.name, b.name) || compareText(a.arch, b.arch));
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function parseAttributes(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/([\w-]+)="([^"]*)"/gu)].map(([, name, value]) => [
      name ?? '',
      (value ?? '').replaceAll(/&(amp|lt|gt|quot|apos);/gu, (_, entity: string) => entities[entity] ?? ''),
    ]),
  );
}

export async function readZypperCandidates(
  root: string,
  installed: readonly InstalledPackage[],
): Promise<ReadCandidates> {
  const options = root === '/' ? [] : ['--root', root];
  let failure = '';
  // First with lists as new as the configuration wants them, then with those that are there.
  for (const lists of [[], ['--no-refresh']]) {
    const answer = await runCommand(
      ['zypper', ...options, '--non-interactive', ...lists, '--xmlout', 'list-updates'],
      { timeoutSeconds: 300 },
    );
    const candidates = parseZypperUpdates(answer.stdout, installed);
    if (answer.ok && candidates !== null) {
      const problems = failure === '' ? [] : [{ code: 'repositories_unreachable', message: failure }];
      return { candidates, problems };
    }
    failure = answer.ok ? 'zypper printed no list' : answer.message.slice(0, 1_000);
  }
  return {
    candidates: [],
    problems: [
      { code: 'repositories_unreadable', message: `what zypper would update to is not known: ${failure}` },
    ],
  };
}

/** Names in /etc/zypp/locks, a stanza for each: those of packages, without patterns. Pure. */
export function parseZypperLocks(text: string): string[] {
  const names = text.split(/\n\s*\n/u).flatMap((stanza) => {
    const field = (label: string): string =>
      new RegExp(`^${label}:\\s*(.+)$`, 'mu').exec(stanza)?.[1]?.trim() ?? '';
    const name = field('solvable_name');
    return ['', 'package'].includes(field('type')) && /^[\w.+-]+$/u.test(name) ? [name] : [];
  });
  return [...new Set(names)].sort(compareText);
}

export function readZypperHeld(root: string): string[] {
  return parseZypperLocks(readTextIfThere(join(root, 'etc/zypp/locks')) ?? '');
}
