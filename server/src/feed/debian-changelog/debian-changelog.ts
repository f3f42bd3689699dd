import { plainStatement, type StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { releaseOfCodename } from '../debian-release.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { feedLimits, linesOf, notThisFormat, openInput } from '../input.ts';
import { rejection, requireRecords } from '../record.ts';

/**
 * Entries of debian/changelog, as deb-changelog(5) defines them and `apt changelog` prints them, one after another, of
 * any number of packages. Each CVE that an entry names is a statement "fixed in this version"; that the lowest version
 * naming a CVE is the fix is decided in core/src/knowledge/union.ts, which sees all entries. See README.md.
 */
export const debianChangelog: Feed = {
  id: 'debian-changelog',
  title: 'Fixes named in Debian package changelogs',
  publisher: 'Debian package maintainers',
  licence: 'Licence of each package (Debian main: DFSG-free)',
  url: 'https://metadata.ftp-master.debian.org/changelogs/',
  // a folder for each package: somebody has to choose which
  downloads: null,
  ecosystems: ['debian'],
  complete: false,
  staleAfterHours: 24 * 7,
  parse(file) {
    return requireRecords(file, parseEntries(file));
  },
};

const headerPattern = /^(\w[-+0-9a-z.]*) \(([^() \t]+)\)((?:\s+[-+0-9a-z.]+)+)\s*;/iu;
const trailerPattern = /^ -- .*<.*> {1,2}(\w.*\S)\s*$/u;

interface OpenEntry {
  readonly position: string;
  readonly source: string;
  readonly version: string;
  readonly distributions: readonly string[];
  readonly lines: string[];
  length: number;
}

async function* parseEntries(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  let open: OpenEntry | null = null;
  let seenHeader = false;
  for await (const line of linesOf(input)) {
    const position = `line ${String(line.number)}`;
    const header = headerPattern.exec(line.text);
    if (header !== null) {
      seenHeader = true;
      if (open !== null) yield unsigned(open);
      const [, source = '', version = '', distributions = ''] = header;
      open = {
        position,
        source,
        version,
        distributions: distributions.trim().split(/\s+/u),
        lines: [line.text],
        length: line.text.length,
      };
      continue;
    }
    if (!seenHeader) {
      if (line.text.trim() === '') continue;
      throw notThisFormat(
        file.name,
        'a Debian changelog',
        `it starts with ${JSON.stringify(line.text.slice(0, 60))}`,
      );
    }
    if (/^\S/u.test(line.text) && !/^(?:#|\/\*|Local variables:|vim:|\$)/iu.test(line.text)) {
      if (open !== null) yield unsigned(open);
      open = null;
      yield rejection(
        position,
        'header_invalid',
        'a line at the margin is not the header of an entry',
        line.text,
      );
      continue;
    }
    if (open === null) continue;
    open.lines.push(line.text);
    open.length += line.text.length;
    if (open.length > feedLimits.entryLength) {
      yield rejection(
        open.position,
        'entry_too_large',
        'the entry is longer than the limit',
        open.lines[0] ?? '',
      );
      open = null;
      continue;
    }
    const trailer = trailerPattern.exec(line.text);
    if (trailer !== null) {
      yield readEntry(open, trailer[1] ?? '');
      open = null;
    } else if (line.text.startsWith(' -- ')) {
      yield rejection(
        open.position,
        'trailer_invalid',
        'the line of author and date is not understood',
        line.text,
      );
      open = null;
    }
  }
  if (open !== null) yield unsigned(open);
}

function unsigned(entry: OpenEntry): FeedRejection {
  const message = `${entry.source} ${entry.version} has no line of author and date at its end; the file may be cut short`;
  return rejection(entry.position, 'entry_not_signed', message, entry.lines.join('\n'));
}

function readEntry(entry: OpenEntry, date: string): FeedRecord | FeedRejection {
  const time = Date.parse(date);
  if (Number.isNaN(time)) {
    return rejection(entry.position, 'date_invalid', `${date} is not a date`, entry.lines.join('\n'));
  }
  const statedAt = new Date(time).toISOString();
  const release = releaseOf(entry);
  const text = entry.lines.join('\n');
  const facts: StatementFact[] = [];
  if (release !== null) {
    for (const vulnerability of namedCves(text)) {
      facts.push({
        ...plainStatement,
        vulnerability,
        ecosystem: 'debian',
        release,
        package: entry.source,
        status: 'fixed',
        fixedVersion: entry.version,
        fixState: 'available',
        statedAt,
      });
    }
  }
  return { outcome: 'record', id: `${entry.source}/${entry.version}`, raw: text, facts };
}

/**
 * The release that an entry was made for: by the mark in its version (`+deb12u3`, `~deb12u1`), else by its distribution
 * (`bookworm-security`). Null for unstable, and for backports: a fix there is not one that the release's own hosts get.
 */
function releaseOf(entry: OpenEntry): string | null {
  if (/~bpo[0-9]/u.test(entry.version) || entry.distributions.some((name) => name.includes('-backports')))
    return null;
  const mark = /[+~]deb([0-9]+)u[0-9]+/u.exec(entry.version)?.[1];
  if (mark !== undefined) return mark;
  for (const name of entry.distributions) {
    const release = releaseOfCodename(name.replace(/-(?:security|updates|proposed-updates|lts)$/u, ''));
    if (release !== null) return release;
  }
  return null;
}

/**
 * CVE ids written out in full, each once. Shorthand (`CVE-2024-33601-33602`, `CVE-2024-1234/5678`) counts for its first
 * id only: in the name of a patch the second number may as well be a part number or a date, and a CVE wrongly taken for
 * fixed would hide a vulnerability, while one that is missed stays open until a source names it.
 */
function namedCves(text: string): Set<string> {
  const found = new Set<string>();
  for (const match of text.matchAll(/(?<![0-9A-Za-z])CVE-[0-9]{4}-[0-9]{4,19}(?![0-9])/giu)) {
    const [id] = match;
    const before = text.slice(Math.max(0, match.index - 60), match.index);
    const after = text.slice(match.index + id.length, match.index + id.length + 20);
    if (!isCauseOfRegression(before, after)) found.add(id.toUpperCase());
  }
  return found;
}

/**
 * Whether a CVE is named as what an earlier fix broke something for (`Fix CVE-2024-38474 regression`, `regression of
 * CVE-2024-35235`): it was fixed before this version, so this version is not its fix.
 */
function isCauseOfRegression(before: string, after: string): boolean {
  return (
    /^[-\s]+regression/iu.test(after) ||
    /\bregressions?\s+(?:of|from|after|following|caused\s+by)\s+$/iu.test(before)
  );
}
