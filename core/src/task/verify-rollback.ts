import type { InstalledPackage } from '../inventory/inventory.ts';

/** The decision about a rollback, from what the host reports after it and from nothing else. */

interface Named {
  readonly name: string;
  readonly arch: string;
}

export interface RollbackInput {
  /** What the task upgraded: `from` is what is to be there again. */
  readonly packages: readonly (Named & { readonly from: string; readonly to: string })[];
  /** What came newly with it, and is to be gone; what went with it, and is to be back. */
  readonly added: readonly (Named & { readonly version: string })[];
  readonly removed: readonly (Named & { readonly version: string })[];
  /** All packages of the asset now. */
  readonly installed: readonly InstalledPackage[];
  /** Why nothing about the asset can be judged now, as a sentence; null when it can. */
  readonly unjudged: string | null;
}

export interface NotRestored extends Named {
  /** Null: it is not to be there. */
  readonly expected: string | null;
  /** Of all that is installed of it; empty when it is not. */
  readonly installed: readonly string[];
}

export interface RollbackEvidence {
  readonly restored: number;
  readonly not_restored: readonly NotRestored[];
  /** One sentence for a person. */
  readonly sentence: string;
}

export interface RollbackVerification {
  readonly outcome: 'rolled_back' | 'rollback_failed' | 'undetermined';
  readonly evidence: RollbackEvidence;
}

/** `rolled_back` only when every package of the plan is where it was before, what was added is gone and what was removed is back. */
export function verifyRollback(input: RollbackInput): RollbackVerification {
  const versions = new Map<string, string[]>();
  for (const one of input.installed) {
    const key = `${one.name}:${one.arch}`;
    versions.set(key, [...(versions.get(key) ?? []), one.version]);
  }
  const of = ({ name, arch }: Named): string[] => versions.get(`${name}:${arch}`) ?? [];
  const notRestored: NotRestored[] = [];
  for (const one of input.packages) {
    const installed = of(one);
    // a kernel of an rpm system is there in several versions at once
    if (!installed.includes(one.from) || installed.includes(one.to))
      notRestored.push({ name: one.name, arch: one.arch, expected: one.from, installed });
  }
  for (const one of input.added) {
    const installed = of(one);
    if (installed.length > 0) notRestored.push({ name: one.name, arch: one.arch, expected: null, installed });
  }
  for (const one of input.removed) {
    const installed = of(one);
    if (!installed.includes(one.version))
      notRestored.push({ name: one.name, arch: one.arch, expected: one.version, installed });
  }
  const all = input.packages.length + input.added.length + input.removed.length;
  const outcome =
    input.unjudged !== null ? 'undetermined' : notRestored.length > 0 ? 'rollback_failed' : 'rolled_back';
  return {
    outcome,
    evidence: {
      restored: all - notRestored.length,
      not_restored: notRestored,
      sentence: input.unjudged ?? sentenceOf(all, notRestored),
    },
  };
}

function sentenceOf(all: number, notRestored: readonly NotRestored[]): string {
  if (notRestored.length === 0) {
    return all === 1
      ? 'The package is as it was before.'
      : `All ${String(all)} packages are as they were before.`;
  }
  const words = notRestored.slice(0, 5).map(({ name, expected, installed }) => {
    const is = installed.length === 0 ? 'not installed' : `at ${installed.join(' and ')}`;
    return expected === null ? `${name} is still there (${is})` : `${name} is ${is} instead of ${expected}`;
  });
  const more = notRestored.length > 5 ? `; and ${String(notRestored.length - 5)} more` : '';
  return `Not as before: ${words.join('; ')}${more}.`;
}
