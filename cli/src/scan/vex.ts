import { productTitle } from '@fixpoint/core/knowledge/ecosystem.ts';
import { evidenceOf } from '@fixpoint/core/match/evidence.ts';
import type { Verdict } from '@fixpoint/core/match/match.ts';
import { version } from '../version.ts';
import { groupPackages, judgeGroup, kernelsThatCount, type PackageGroup, type ScanPackage } from './judge.ts';
import { advisoryUrl, purlOf, severityOf, vulnerabilityUrl } from './reference.ts';
import type { ScanPart, ScanSubject } from './subject.ts';

/**
 * CycloneDX 1.6 with the vulnerabilities of what was scanned and the analysis of each (cyclonedx.org/capabilities/vex). Unlike the
 * other formats it tells everything that the vendors say of the installed packages: `exploitable`, `resolved` where the fix is
 * installed, `not_affected` with the justification, and `in_triage` for what could not be judged. Components bear the `bom-ref`
 * of the SBOM that they are from, or their package URL. A component that could not be placed is there too, and says why.
 */
export function vexDocument(subject: ScanSubject, now: Date): object {
  const refs = new ComponentRefs();
  const vulnerabilities = subject.parts.flatMap((part) => vulnerabilitiesOf(part, refs));
  for (const { undetermined, name, version: installed, ref } of subject.unplaced) {
    refs.add(ref ?? `${name}@${installed}`, {
      type: 'library',
      name,
      ...(installed === '' ? {} : { version: installed }),
      properties: [
        { name: 'fixpoint:undetermined', value: undetermined.code },
        { name: 'fixpoint:reason', value: undetermined.reason },
      ],
    });
  }
  const { source } = subject;
  const [first] = subject.parts;
  const foreign = subject.parts.flatMap(({ packages, kernel }) => {
    const kernels = kernelsThatCount(packages, kernel);
    return kernels.foreign === null
      ? []
      : [{ name: 'fixpoint:kernel_from_no_package', value: kernels.foreign }];
  });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: now.toISOString(),
      tools: { components: [{ type: 'application', name: 'fixpoint', version }] },
      ...(first === undefined || subject.parts.length > 1
        ? {}
        : {
            component: {
              type: 'operating-system',
              'bom-ref': 'fixpoint:system',
              name: first.os.os,
              version: first.os.os_release,
              description: first.os.os_title,
            },
          }),
      properties: [
        source.kind === 'sbom'
          ? { name: 'fixpoint:sbom', value: source.serialNumber ?? source.file }
          : { name: 'fixpoint:root', value: source.root },
        ...foreign,
      ],
    },
    components: refs.components,
    vulnerabilities,
  };
}

/** Gives every package one `bom-ref`, and no two the same. */
class ComponentRefs {
  readonly components: object[] = [];
  readonly #used = new Set<string>();
  readonly #of = new Map<ScanPackage, string>();

  add(wanted: string, component: Readonly<Record<string, unknown>>): string {
    let ref = wanted;
    for (let count = 2; this.#used.has(ref); count++) ref = `${wanted}#${String(count)}`;
    this.#used.add(ref);
    this.components.push({ ...component, 'bom-ref': ref });
    return ref;
  }

  of(part: ScanPart, p: ScanPackage): string {
    const known = this.#of.get(p);
    if (known !== undefined) return known;
    const purl = purlOf(part.os, p);
    const { knowledge } = part;
    const isKnown = knowledge.knows('binary', p.name) || knowledge.knows('source', p.source);
    const properties = [
      ...(p.origin === undefined ? [] : [{ name: 'fixpoint:origin', value: p.origin }]),
      // No vulnerability below it then means that nothing is known, not that there is none.
      ...(isKnown ? [] : [{ name: 'fixpoint:unknown', value: 'no feed says anything of this package' }]),
    ];
    const ref = this.add(p.ref ?? purl, {
      type: 'library',
      name: p.name,
      version: p.version,
      purl,
      ...(properties.length === 0 ? {} : { properties }),
    });
    this.#of.set(p, ref);
    return ref;
  }
}

function vulnerabilitiesOf(part: ScanPart, refs: ComponentRefs): object[] {
  const { packages, knowledge, kernel } = part;
  const { inert, counted } = kernelsThatCount(packages, kernel);
  for (const p of packages) refs.of(part, p);
  const found: object[] = [];
  const judge = (group: PackageGroup, runs: boolean): void =>
    judgeGroup(group, knowledge, true, (verdict) => {
      const analysis = runs ? analysisOf(group, verdict, counted) : notRunning(group, verdict, kernel.kind);
      found.push(vulnerability(part, group, verdict, analysis, refs));
    });
  for (const group of groupPackages(packages, knowledge, inert)) judge(group, true);
  for (const group of groupPackages([...inert], knowledge, new Set())) judge(group, false);
  return found;
}

interface Analysis {
  readonly state: 'exploitable' | 'resolved' | 'not_affected' | 'in_triage';
  readonly justification?: 'code_not_present' | 'code_not_reachable';
  readonly response?: readonly ('update' | 'will_not_fix')[];
  readonly detail: string;
}

function analysisOf(group: PackageGroup, verdict: Verdict, counted: 'all' | 'running'): Analysis {
  const [first] = group.packages;
  const { sentence, fixed_version: fixedVersion } = evidenceOf(first, verdict);
  const { fixState } = verdict.decision;
  switch (verdict.kind) {
    case 'vulnerable': {
      const willNotFix = fixState === 'will_not_fix' || fixState === 'end_of_life';
      return {
        state: 'exploitable',
        ...(fixedVersion !== null
          ? { response: ['update'] as const }
          : willNotFix
            ? { response: ['will_not_fix'] as const }
            : {}),
        detail: group.isKernel && counted === 'all' ? `${sentence} Installed, not known to run.` : sentence,
      };
    }
    case 'fixed':
      return { state: 'resolved', response: ['update'], detail: sentence };
    case 'not_affected':
      return { state: 'not_affected', justification: 'code_not_present', detail: sentence };
    case 'undetermined':
      return { state: 'in_triage', detail: sentence };
  }
}

/** A kernel that does not run: what it would be open to is not reachable, the rest is as it is. */
function notRunning(group: PackageGroup, verdict: Verdict, kernel: string): Analysis {
  const analysis = analysisOf(group, verdict, 'running');
  if (analysis.state !== 'exploitable') return analysis;
  const why = kernel === 'container' ? 'a container runs the kernel of its host' : 'another kernel runs';
  return {
    state: 'not_affected',
    justification: 'code_not_reachable',
    detail: `${analysis.detail} Not running: ${why}.`,
  };
}

const statuses = {
  exploitable: 'affected',
  resolved: 'unaffected',
  not_affected: 'unaffected',
  in_triage: 'unknown',
} as const;

function vulnerability(
  part: ScanPart,
  group: PackageGroup,
  verdict: Verdict,
  analysis: Analysis,
  refs: ComponentRefs,
): object {
  const [first] = group.packages;
  const { decision } = verdict;
  const { vulnerability: id } = decision;
  const { advisory, feed, record, fixed_version: fixedVersion } = evidenceOf(first, verdict);
  const danger = part.knowledge.dangerOf(decision);
  const affected = group.packages.map((p) => ({
    ref: refs.of(part, p),
    versions: [{ version: p.version, status: statuses[analysis.state] }],
  }));
  return {
    'bom-ref': `${id}/${affected[0]?.ref ?? ''}`,
    id,
    source: { name: feed ?? 'unknown', url: vulnerabilityUrl(id) },
    ...(danger.cvss === null
      ? {}
      : { ratings: [{ score: danger.cvss, severity: severityOf(danger.cvss), method: 'other' }] }),
    ...(danger.title === null ? {} : { description: danger.title }),
    ...(analysis.state === 'exploitable' && fixedVersion !== null
      ? {
          recommendation: `Update ${group.package} to ${fixedVersion} or newer in ${productTitle(decision)}.`,
        }
      : {}),
    ...(advisory === null ? {} : { advisories: [{ title: advisory, url: advisoryUrl(advisory) }] }),
    analysis,
    affects: affected,
    properties: [
      { name: 'fixpoint:record', value: record ?? '' },
      { name: 'fixpoint:rule', value: verdict.rule },
      ...(danger.epss === null ? [] : [{ name: 'fixpoint:epss', value: String(danger.epss) }]),
      ...(danger.exploitedSince === null
        ? []
        : [{ name: 'fixpoint:exploited_since', value: danger.exploitedSince }]),
    ],
  };
}
