import type { OsRelease } from '@fixpoint/core/inventory/os-release.ts';
import { productOf, productTitle } from '@fixpoint/core/knowledge/ecosystem.ts';
import { Failure } from '../failure.ts';
import { localKnowledge, type KnowledgeSourceOptions } from '../knowledge/local.ts';
import type { ScanPackage } from './judge.ts';
import { placeComponent, systemOf } from './sbom-place.ts';
import { readSbom } from './sbom.ts';
import type { ScanPart, ScanSubject, UnplacedPackage } from './subject.ts';

/** @throws Failure when the SBOM cannot be read; what it names and cannot be judged is in `unplaced` */
export async function sbomSubject(file: string, options: KnowledgeSourceOptions): Promise<ScanSubject> {
  const sbom = readSbom(file);
  const system = systemOf(sbom);
  const unplaced: UnplacedPackage[] = [];
  const byProduct = new Map<string, { readonly os: OsRelease; readonly packages: ScanPackage[] }>();
  for (const component of sbom.components) {
    const placing = placeComponent(component, system);
    if (!placing.ok) {
      const { name, version, ref } = component;
      unplaced.push({ undetermined: placing.undetermined, name, version, ref });
      continue;
    }
    const { os, os_release: osRelease, package: p } = placing.placed;
    const product = productOf(os, osRelease);
    const key = `${product.ecosystem} ${product.release}`;
    const group = byProduct.get(key);
    if (group !== undefined) group.packages.push(p);
    else {
      const title = productTitle(product);
      byProduct.set(key, { os: { os, os_release: osRelease, os_title: title }, packages: [p] });
    }
  }
  const parts: ScanPart[] = [];
  for (const { os, packages } of byProduct.values()) {
    try {
      parts.push({ os, packages, knowledge: await localKnowledge(os, options), kernel: { kind: 'unknown' } });
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'release_unknown') throw error;
      for (const p of packages) unplaced.push(withoutKnowledge(p, os, error.whatToDo));
    }
  }
  return {
    source: {
      kind: 'sbom',
      file,
      format: `${sbom.format} ${sbom.version}`,
      serialNumber: sbom.serialNumber,
      notPackages: sbom.notPackages,
    },
    parts,
    unplaced,
  };
}

function withoutKnowledge(p: ScanPackage, os: OsRelease, whatToDo: string): UnplacedPackage {
  return {
    undetermined: {
      package: p.name,
      installed: [`${p.name} ${p.version}`],
      vulnerabilities: [],
      code: 'release_unknown',
      reason: `There is no vulnerability data for ${os.os_title}.`,
      what_to_do: whatToDo,
    },
    name: p.name,
    version: p.version,
    ref: p.ref ?? null,
  };
}
