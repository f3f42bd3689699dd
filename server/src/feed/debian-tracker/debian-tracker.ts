import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { plainStatement, type Fact, type StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { releaseOfCodename } from '../debian-release.ts';
import type { Feed, FeedFile, FeedRecord, FeedRejection } from '../feed.ts';
import { openInput, textOf } from '../input.ts';
import { jsonMembers } from '../json-members.ts';
import { isCve, rejection, requireRecords, schemaComplaint } from '../record.ts';

const Release = Type.Object({
  status: Type.String(),
  repositories: Type.Optional(Type.Record(Type.String(), Type.String())),
  fixed_version: Type.Optional(Type.String()),
  urgency: Type.Optional(Type.String()),
  nodsa: Type.Optional(Type.String()),
  nodsa_reason: Type.Optional(Type.String()),
  next_point_update: Type.Optional(Type.Boolean()),
});
type Release = Static<typeof Release>;

const Issue = Type.Object({
  description: Type.Optional(Type.String()),
  scope: Type.Optional(Type.String()),
  debianbug: Type.Optional(Type.Number()),
  releases: Type.Record(Type.String(), Type.Unknown()),
});

const validRelease = Compile(Release);
const validIssue = Compile(Issue);

/** The tracker's own JSON: source package → issue → release. See README.md beside this file. */
export const debianTracker: Feed = {
  id: 'debian-tracker',
  title: 'Debian Security Tracker',
  publisher: 'Debian Security Team',
  licence: 'Debian public data; CVE descriptions: CVE Program terms of use',
  url: 'https://security-tracker.debian.org/tracker/data/json',
  complete: true,
  ecosystems: ['debian'],
  staleAfterHours: 24,
  parse(file) {
    return requireRecords(file, parsePackages(file));
  },
};

async function* parsePackages(file: FeedFile): AsyncGenerator<FeedRecord | FeedRejection> {
  const input = await openInput(file);
  let number = 0;
  for await (const member of jsonMembers(file.name, textOf(input.bytes))) {
    number++;
    const position = `member ${String(number)}`;
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
      continue;
    }
    for (const [name, issues] of entriesOf(value)) {
      if (!isObject(issues) || name === '') {
        yield rejection(
          `package ${name}`,
          'package_not_an_object',
          'a package must hold its issues by id',
          member.trim(),
        );
        continue;
      }
      for (const [id, issue] of Object.entries(issues)) yield* readIssue(name, id, issue);
    }
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function entriesOf(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

function* readIssue(name: string, id: string, issue: unknown): Generator<FeedRecord | FeedRejection> {
  const position = `${name} ${id}`;
  const record = `${name}/${id}`;
  const raw = JSON.stringify({ [name]: { [id]: issue } });
  if (!isCve(id) && !/^(?:TEMP|CVE)-[0-9A-Za-z-]+$/u.test(id)) {
    yield rejection(position, 'id_unknown', `${id} is not an id that the tracker gives`, raw, record);
    return;
  }
  if (!validIssue.Check(issue)) {
    yield rejection(position, 'record_not_tracker', schemaComplaint(validIssue.Errors(issue)), raw, record);
    return;
  }
  const facts: Fact[] = [
    {
      kind: 'vulnerability',
      id,
      aliases: [],
      title: null,
      description: issue.description?.toWellFormed() ?? null,
      publishedAt: null,
      withdrawnAt: null,
    },
  ];
  for (const [codename, release] of Object.entries(issue.releases)) {
    let statement: ReturnType<typeof readStatement> = null;
    if (!validRelease.Check(release)) {
      const complaint = schemaComplaint(validRelease.Errors(release));
      yield rejection(`${position} ${codename}`, 'record_not_tracker', complaint, raw, record);
    } else {
      statement = readStatement(release);
      if (statement === null) {
        const message = `status ${release.status} with fixed version ${release.fixed_version ?? '(none)'} is not known`;
        yield rejection(`${position} ${codename}`, 'status_unknown', message, raw, record);
      }
    }
    facts.push({
      ...plainStatement,
      vulnerability: id,
      ecosystem: 'debian',
      // sid and names that are newer than the table stay as they are: they match no numbered host, and hide nothing.
      release: releaseOfCodename(codename) ?? codename,
      package: name,
      // The tracker lists it and what it says cannot be read: that is not known, and not the same as safe.
      ...(statement ?? unreadable),
      advisory: null,
      statedAt: null,
    });
  }
  yield { outcome: 'record', id: record, raw, facts };
}

const unreadable = {
  status: 'undetermined',
  fixedVersion: null,
  fixState: 'none_yet',
  note: 'what the tracker says of this release cannot be read',
} as const;

function readStatement(
  release: Release,
): Pick<StatementFact, 'status' | 'fixedVersion' | 'fixState' | 'note'> | null {
  const note = noteOf(release);
  const fixed = release.fixed_version ?? '';
  if (release.status === 'resolved' && fixed === '0') {
    return { status: 'not_affected', fixedVersion: null, fixState: 'available', note };
  }
  if (release.status === 'resolved' && fixed !== '') {
    return { status: 'fixed', fixedVersion: fixed, fixState: 'available', note };
  }
  // "undetermined" is the tracker's word for not looked at yet: it must not read as safe, nor as vulnerable.
  if (release.status === 'open' || release.status === 'undetermined') {
    const status = release.status === 'open' ? 'affected' : 'undetermined';
    return { status, fixedVersion: null, fixState: fixStateOf(release), note };
  }
  return null;
}

function fixStateOf(release: Release): StatementFact['fixState'] {
  if (release.urgency === 'end-of-life') return 'end_of_life';
  if (release.nodsa_reason === 'ignored') return 'will_not_fix';
  return release.nodsa_reason === 'postponed' ? 'deferred' : 'none_yet';
}

/** The tracker's own words: `undetermined`, the urgency where one is assigned, and why there is no advisory. */
function noteOf(release: Release): string | null {
  const words: string[] = [];
  if (release.status === 'undetermined') words.push('undetermined');
  if (release.urgency !== undefined && release.urgency !== 'not yet assigned') words.push(release.urgency);
  if (release.nodsa !== undefined) {
    const reason = release.nodsa_reason ?? '';
    words.push(`${reason === '' ? 'no-dsa' : reason}: ${release.nodsa}`);
  }
  if (release.next_point_update === true) words.push('in the next point update');
  return words.length === 0 ? null : words.join('; ');
}
