import {
  assess,
  mostDangerousFirst,
  type AffectedPackages,
  type Assessment,
  type ScanFinding,
  type ScanUndetermined,
} from './assess.ts';
import type { ScanPackage } from './judge.ts';
import type { ScanPart, ScanSubject } from './subject.ts';

export interface SubjectAssessment {
  readonly assessment: Assessment;
  readonly affected: AffectedPackages;
  /** The system that each finding, and what is undetermined about a placed package, is of. */
  readonly partOf: ReadonlyMap<ScanFinding | ScanUndetermined, ScanPart>;
}

/** Judges all parts of a subject, and lists what could not be placed as undetermined. */
export function assessSubject({ parts, unplaced }: ScanSubject): SubjectAssessment {
  const partOf = new Map<ScanFinding | ScanUndetermined, ScanPart>();
  const affected = new Map<ScanFinding | ScanUndetermined, readonly ScanPackage[]>();
  const assessments = parts.map((part) => {
    const { affected: ofPart, ...assessment } = assess(part.packages, part.knowledge, part.kernel);
    for (const [one, packages] of ofPart) {
      affected.set(one, packages);
      partOf.set(one, part);
    }
    return assessment;
  });
  const [only] = assessments;
  if (assessments.length === 1 && only !== undefined && unplaced.length === 0) {
    return { assessment: only, affected, partOf };
  }
  const sum = (of: (one: Assessment) => number): number =>
    assessments.reduce((total, one) => total + of(one), 0);
  return {
    assessment: {
      findings: assessments.flatMap((one) => one.findings).sort(mostDangerousFirst),
      undetermined: [
        ...assessments.flatMap((one) => one.undetermined),
        ...unplaced.map((one) => one.undetermined),
      ],
      vulnerable_packages: sum((one) => one.vulnerable_packages),
      inert_kernels: assessments.flatMap((one) => one.inert_kernels),
      source_packages: sum((one) => one.source_packages),
      unknown_source_packages: assessments.flatMap((one) => one.unknown_source_packages),
      foreign_packages: assessments.flatMap((one) => one.foreign_packages),
    },
    affected,
    partOf,
  };
}
