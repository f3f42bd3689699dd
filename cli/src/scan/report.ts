import { harmless, styled, type Style } from '../output/terminal.ts';
import { table, type Column } from '../output/table.ts';
import { relative } from '../output/time.ts';
import type { KnowledgeHeader } from '../knowledge/format.ts';
import type { Assessment, ScanFinding, ScanUndetermined } from './assess.ts';
import type { ScanSubject } from './subject.ts';

export interface ScanSummary {
  readonly findings: number;
  readonly vulnerable_packages: number;
  readonly with_patch: number;
  readonly without_fix_yet: number;
  readonly will_not_be_fixed: number;
  readonly exploited: number;
  readonly undetermined: number;
}

export function summaryOf(assessment: Assessment): ScanSummary {
  const { findings } = assessment;
  const count = (wanted: (finding: ScanFinding) => boolean): number => findings.filter(wanted).length;
  return {
    findings: findings.length,
    vulnerable_packages: assessment.vulnerable_packages,
    with_patch: count((f) => f.fixed_version !== null),
    without_fix_yet: count(
      (f) => f.fixed_version === null && f.fix_state !== 'will_not_fix' && f.fix_state !== 'end_of_life',
    ),
    will_not_be_fixed: count(
      (f) => f.fixed_version === null && (f.fix_state === 'will_not_fix' || f.fix_state === 'end_of_life'),
    ),
    exploited: count((f) => f.exploited),
    undetermined: assessment.undetermined.length,
  };
}

const plural = (n: number, one: string, many = `${one}s`): string => `${String(n)} ${n === 1 ? one : many}`;

/** `212 findings on 93 packages: 180 have a patch, 32 have no fix yet. 3 are exploited now.` */
export function summarySentence(s: ScanSummary): string {
  if (s.findings === 0) {
    const rest = s.undetermined > 0 ? ` ${plural(s.undetermined, 'thing')} could not be judged.` : '';
    return `No known vulnerability.${rest}`;
  }
  const parts = [
    `${plural(s.with_patch, 'has', 'have')} a patch`,
    s.without_fix_yet > 0 ? `${plural(s.without_fix_yet, 'has', 'have')} no fix yet` : '',
    s.will_not_be_fixed > 0 ? `${String(s.will_not_be_fixed)} will not be fixed in this release` : '',
  ].filter((part) => part !== '');
  const exploited = s.exploited > 0 ? ` ${plural(s.exploited, 'is', 'are')} exploited now.` : '';
  const undetermined = s.undetermined > 0 ? ` ${plural(s.undetermined, 'thing')} could not be judged.` : '';
  return `${plural(s.findings, 'finding')} on ${plural(s.vulnerable_packages, 'package')}: ${parts.join(', ')}.${exploited}${undetermined}`;
}

export const fixStateWords: Readonly<Record<string, string>> = {
  available: 'available',
  none_yet: 'no fix yet',
  will_not_fix: 'will not be fixed',
  end_of_life: 'end of life',
  deferred: 'no fix yet (deferred)',
  unknown: 'unknown',
};

/** `exploited` before a score: both tell what goes first. */
export function dangerWords(f: { exploited: boolean; epss: number | null; cvss: number | null }): string {
  if (f.exploited) return 'exploited';
  const epss = f.epss === null ? '' : `EPSS ${(f.epss * 100).toFixed(f.epss < 0.1 ? 1 : 0)} %`;
  return epss;
}

export function dangerStyle(f: { exploited: boolean; epss: number | null }): Style | undefined {
  if (f.exploited) return 'red';
  return (f.epss ?? 0) >= 0.1 ? 'yellow' : undefined;
}

const columns: readonly Column<ScanFinding>[] = [
  { title: 'VULNERABILITY', of: (f) => f.vulnerability, style: (f) => (f.exploited ? 'red' : undefined) },
  { title: 'DANGER', of: dangerWords, style: dangerStyle, yields: 1, least: 10 },
  { title: 'CVSS', of: (f) => f.cvss?.toFixed(1) ?? '-', align: 'right', yields: 2, least: 4 },
  { title: 'PACKAGE', of: (f) => f.package },
  { title: 'INSTALLED', of: (f) => f.installed_version, yields: 3, least: 10 },
  { title: 'FIXED', of: fixedWords },
  { title: 'PATCH', of: (f) => f.patch ?? '-', yields: 5, least: 24 },
  { title: 'SOURCE', of: sourceWords, yields: 4, least: 14 },
  { title: 'WHY', of: (f) => f.why, style: () => 'dim', yields: 6, least: 40 },
];

function fixedWords(f: ScanFinding): string {
  if (f.fixed_version !== null) return f.fixed_version;
  const state = fixStateWords[f.fix_state] ?? f.fix_state;
  // Debian's own word for what it holds to be no danger in practice.
  return f.note?.startsWith('unimportant') === true ? `${state} (unimportant)` : state;
}

/** The feed, and its record where that is not simply the vulnerability itself. */
function sourceWords({ source, vulnerability }: ScanFinding): string {
  const record = source.advisory ?? (source.record === vulnerability ? null : source.record);
  return record === null ? (source.feed ?? '?') : `${source.feed ?? '?'} ${record}`;
}

interface PatchEffect {
  readonly patch: string;
  readonly closes: number;
  readonly exploited: number;
}

/** Each patch with the findings it closes, most effective first. */
export function patchEffects(findings: readonly ScanFinding[]): PatchEffect[] {
  return [...Map.groupBy(findings, (f) => f.patch)]
    .flatMap(([patch, closed]) =>
      patch === null
        ? []
        : [{ patch, closes: closed.length, exploited: closed.filter((f) => f.exploited).length }],
    )
    .sort((a, b) => b.exploited - a.exploited || b.closes - a.closes || (a.patch < b.patch ? -1 : 1));
}

const patchColumns: readonly Column<PatchEffect>[] = [
  { title: 'PATCH', of: (p) => p.patch },
  { title: 'CLOSES', of: (p) => plural(p.closes, 'finding') },
  { title: 'OF THESE EXPLOITED', of: (p) => (p.exploited > 0 ? String(p.exploited) : '-') },
];

/** What a person reads: the verdict, the table, what could not be judged, and how old the data is. */
export function scanText(subject: ScanSubject, assessment: Assessment): string {
  const summary = summaryOf(assessment);
  let text = `${styled('bold', summarySentence(summary))}\n`;
  text += styled('dim', `${subjectWords(subject)}\n`);
  const unknown = assessment.unknown_source_packages.length;
  if (unknown > 0) {
    const all = plural(assessment.source_packages, 'source package');
    text += styled(
      'dim',
      `The data says nothing about ${String(unknown)} of ${all}, which does not mean that they are safe.\n`,
    );
  }
  const foreign = foreignWords(assessment);
  if (foreign !== null) text += styled('dim', `${foreign}\n`);
  if (assessment.findings.length > 0) text += `\n${table(columns, assessment.findings)}`;
  const patches = patchEffects(assessment.findings);
  if (patches.length > 0) text += `\n${table(patchColumns, patches)}`;
  if (assessment.undetermined.length > 0) {
    text += `\n${styled('bold', 'Could not be judged (which does not mean safe):')}\n`;
    for (const line of undeterminedLines(assessment.undetermined)) text += `  ${line}\n`;
  }
  if (assessment.inert_kernels.length > 0) {
    text += `\nNot counted, because another kernel runs: ${assessment.inert_kernels.join(', ')}.\n`;
  }
  // A long table has pushed the verdict out of sight.
  if (assessment.findings.length > 15) text += `\n${summarySentence(summary)}\n`;
  return text;
}

function subjectWords({ source, parts, unplaced }: ScanSubject): string {
  const where = source.kind === 'sbom' ? source.file : source.root === '/' ? 'this machine' : source.root;
  const systems = parts.map(
    ({ os, packages, knowledge }) =>
      `${harmless(os.os_title)}, ${plural(packages.length, 'package')}. ${knowledgeWords(knowledge.header)}`,
  );
  const rest =
    unplaced.length === 0 ? '' : ` ${plural(unplaced.length, 'package')} could not be placed or judged.`;
  return `${harmless(where)}: ${systems.length === 0 ? 'no system that is known.' : systems.join(' ')}${rest}`;
}

/** `3 packages were not built by the distribution (Docker 2, of unknown origin 1), so its data does not judge them.` */
function foreignWords({ foreign_packages: foreign }: Assessment): string | null {
  if (foreign.length === 0) return null;
  const vendors = [...Map.groupBy(foreign, (one) => one.vendor ?? 'of unknown origin')]
    .sort(([a, of], [b, others]) => others.length - of.length || (a < b ? -1 : 1))
    .map(([vendor, of]) => `${vendor} ${String(of.length)}`);
  const named = vendors.slice(0, 5).join(', ') + (vendors.length > 5 ? ', …' : '');
  return `${plural(foreign.length, 'package was', 'packages were')} not built by the distribution (${harmless(named)}), so its data does not judge them.`;
}

const namedOfAlike = 5;

/** One line each; many for the same reason, and about no vulnerability by name, are one line. */
function undeterminedLines(all: readonly ScanUndetermined[]): string[] {
  const alike = Map.groupBy(all, (one) =>
    one.vulnerabilities.length > 0 ? one : `${one.code}\t${one.reason}\t${one.what_to_do}`,
  );
  return [...alike.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const installed = group.flatMap((one) => one.installed);
    const rest = group.length > 1 ? installed.length - namedOfAlike : 0;
    const named = rest > 0 ? installed.slice(0, namedOfAlike) : installed;
    const more = rest > 0 ? ` and ${String(rest)} more` : '';
    const about =
      first.vulnerabilities.length > 0
        ? ` (${plural(first.vulnerabilities.length, 'vulnerability', 'vulnerabilities')})`
        : '';
    return [
      `${harmless(named.join(', '))}${more}${about}: ${harmless(first.reason)} ${harmless(first.what_to_do)}`,
    ];
  });
}

function knowledgeWords(header: KnowledgeHeader): string {
  const dated = header.feeds.flatMap((feed) =>
    feed.as_of === null ? [] : [`${feed.id} ${feed.as_of} (${relative(feed.as_of)})`],
  );
  return `Judged by ${dated.length > 0 ? dated.join(', ') : 'local data of unknown age'}.`;
}
