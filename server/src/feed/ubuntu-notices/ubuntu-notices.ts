import { plainStatement, type Fact, type StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { jsonDocuments } from '../documents.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { openInput, textOf } from '../input.ts';
import { jsonMembers } from '../json-members.ts';
import { isCve, rejection, requireRecords } from '../record.ts';
import { noticePages } from './downloads.ts';
import { readNotice, type Notice } from './notice.ts';

/** Ubuntu Security Notices. See README.md beside this file for what each field becomes. */
export const ubuntuNotices: Feed = {
  id: 'ubuntu-notices',
  title: 'Ubuntu security notices',
  publisher: 'Canonical',
  licence: 'CC-BY-SA-4.0',
  url: 'https://ubuntu.com/security/notices.json',
  // Each page holds a part of them.
  complete: false,
  staleAfterHours: 48,
  ecosystems: ['ubuntu'],
  downloads: noticePages,
  parse(file) {
    return requireRecords(file, parseNotices(file));
  },
};

/** First member of the security team's database.json, of which all members are notices by their number. */
const databaseStart = /^\s*\{\s*"(?:USN-)?[0-9]+-[0-9]+"\s*:/u;

async function* parseNotices(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  if (databaseStart.test(new TextDecoder().decode(input.head.subarray(0, 256)))) {
    let number = 0;
    for await (const member of jsonMembers(file.name, textOf(input.bytes))) {
      number++;
      yield* parseMember(`member ${String(number)}`, member);
    }
    return;
  }
  for await (const item of jsonDocuments({ name: file.name, bytes: input.bytes })) {
    if (item.outcome === 'rejection') {
      yield item;
      continue;
    }
    const { position, text, value } = item;
    const page: unknown =
      typeof value === 'object' && value !== null ? Reflect.get(value, 'notices') : undefined;
    if (!Array.isArray(page)) {
      yield* readOne(position, text, value);
      continue;
    }
    const notices: readonly unknown[] = page;
    for (const [index, notice] of notices.entries()) {
      yield* readOne(`${position} notices[${String(index)}]`, JSON.stringify(notice), notice);
    }
  }
}

function* parseMember(position: string, member: string): Generator<FeedRecord | FeedRejection> {
  let value: unknown;
  try {
    value = JSON.parse(`{${member}}`);
  } catch (error) {
    yield rejection(
      position,
      'json_invalid',
      error instanceof Error ? error.message : String(error),
      member.trim(),
    );
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const notice of Object.values(value)) yield* readOne(position, JSON.stringify(notice), notice);
}

function* readOne(position: string, raw: string, value: unknown): Generator<FeedRecord | FeedRejection> {
  const reading = readNotice(value);
  if (!reading.ok) {
    yield rejection(position, 'record_not_notice', reading.message, raw, reading.id);
    return;
  }
  const { notice } = reading;
  for (const { codename, release } of notice.releases) {
    if (release !== null) continue;
    const message = `${notice.id}: no release number is known for ${codename}`;
    yield rejection(`${position} ${codename}`, 'release_unknown', message, raw, notice.id);
  }
  // A hidden notice is one that Ubuntu does not show: not yet, or not any more.
  yield { outcome: 'record', id: notice.id, raw, facts: notice.isHidden ? [] : factsOf(notice) };
}

function factsOf(notice: Notice): Fact[] {
  const cves = [...new Set(notice.references.map((id) => id.toUpperCase()).filter((id) => isCve(id)))];
  const facts: Fact[] = [
    {
      kind: 'advisory',
      id: notice.id,
      title: notice.title.toWellFormed(),
      publishedAt: notice.publishedAt,
      withdrawnAt: null,
      vulnerabilities: cves,
      url: `https://ubuntu.com/security/notices/${notice.id}`,
    },
  ];
  // Livepatch notices name kernels and the patch that is loaded into them; those for other software name no package of apt.
  if (!notice.id.startsWith('USN-')) return facts;
  const isRegression = /\bregressions?\b/iu.test(notice.title);
  for (const { release, codename, sources } of notice.releases) {
    for (const { name, version, pockets } of sources) {
      for (const cve of cves) {
        facts.push({
          ...plainStatement,
          vulnerability: cve,
          ecosystem: 'ubuntu',
          release: release ?? codename,
          package: name,
          channel: channelOf(version, pockets),
          status: 'fixed',
          fixedVersion: version,
          fixState: 'available',
          note: isRegression ? `regression: ${notice.title.toWellFormed()}` : null,
          advisory: notice.id,
          statedAt: notice.publishedAt,
        } satisfies StatementFact);
      }
    }
  }
  return facts;
}

/**
 * The archive that the fix is in: the names of ubuntu-osv. ESM of 14.04 and of notices before 2021, which name no pocket, is
 * told by its versions (`+esm1`, `~esm1`, `fips`).
 */
function channelOf(version: string, pockets: readonly string[]): string | null {
  const [pocket] = pockets;
  // In the release's own archive too, so everybody gets it.
  if (pockets.some((name) => name === 'security' || name === 'updates')) return null;
  if (pocket !== undefined) return pocket.startsWith('esm-') ? 'pro' : pocket;
  if (/[+~]esm[0-9]/u.test(version)) return 'pro';
  return /fips/iu.test(version) ? 'fips' : null;
}
