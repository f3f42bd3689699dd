import { parseMitigationPatchId } from '../mitigation/mitigation.ts';
import { parsePatchId } from '../knowledge/patch.ts';

/** What somebody wants deployed. The same shape as `PatchJobDefinition` in contract/src/patch-job.ts, which parses it. */
export interface PatchJobDefinition {
  readonly name: string;
  readonly trigger: 'manual';
  /** Patch ids: `debian:12/openssl@3.0.22-1~deb12u2`, `mitigation:sshd-login-grace-time`. */
  readonly patches: readonly string[];
  readonly target: {
    readonly tags: readonly string[];
    /** Id or unique hostname. */
    readonly assets: readonly string[];
    readonly exclude: readonly string[];
  };
  /** Take the mitigations among the patches back instead of applying them; then there is nothing else among them. */
  readonly undo_mitigations?: boolean;
  readonly units: 'restart' | 'leave';
  readonly install_timeout_seconds: number;
  readonly expire_after_seconds: number;
  readonly concurrency: number;
}

export interface DefinitionProblem {
  /** JSON pointer into the definition. */
  readonly path: string;
  readonly message: string;
}

/**
 * Everything about a definition that can be judged without the database; all problems at once. Whether patches, tags and
 * assets exist is the server's to say.
 */
export function definitionProblems(definition: PatchJobDefinition): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (definition.name.trim() === '') problems.push({ path: '/name', message: 'the name is blank' });
  const { target } = definition;
  if (target.tags.length === 0 && target.assets.length === 0) {
    problems.push({ path: '/target', message: 'the target names neither a tag nor an asset' });
  }
  for (const list of ['tags', 'assets', 'exclude'] as const) {
    problems.push(...duplicateProblems(target[list], `/target/${list}`));
  }
  for (const asset of target.assets) {
    if (target.exclude.includes(asset)) {
      problems.push({ path: '/target/exclude', message: `${asset} is both named as a target and excluded` });
    }
  }
  problems.push(...duplicateProblems(definition.patches, '/patches'), ...patchProblems(definition.patches));
  if (
    definition.undo_mitigations === true &&
    definition.patches.some((id) => parseMitigationPatchId(id) === null)
  ) {
    problems.push({
      path: '/undo_mitigations',
      message: 'only mitigations can be undone, and other patches are named',
    });
  }
  return problems;
}

/** The ids of the mitigations among the patches of a definition, and the rest. */
export function splitPatches(patches: readonly string[]): { mitigations: string[]; packages: string[] } {
  const mitigations: string[] = [];
  const packages: string[] = [];
  for (const id of patches) {
    const mitigation = parseMitigationPatchId(id);
    if (mitigation === null) packages.push(id);
    else mitigations.push(mitigation);
  }
  return { mitigations, packages };
}

function duplicateProblems(values: readonly string[], path: string): DefinitionProblem[] {
  const seen = new Set<string>();
  const repeated = new Set(values.filter((value) => seen.size === seen.add(value).size));
  return [...repeated].map((value) => ({ path, message: `${value} is named more than once` }));
}

function patchProblems(patches: readonly string[]): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const versionOf = new Map<string, string>();
  for (const [index, id] of patches.entries()) {
    if (parseMitigationPatchId(id) !== null) continue;
    const path = `/patches/${String(index)}`;
    const patch = parsePatchId(id);
    if (patch === null) {
      problems.push({
        path,
        message: `${JSON.stringify(id)} is not a patch id such as debian:12/openssl@3.0.22-1~deb12u2 or mitigation:sshd-login-grace-time`,
      });
      continue;
    }
    const product = `${patch.ecosystem}:${patch.release}/${patch.package}`;
    const other = versionOf.get(product);
    if (other !== undefined && other !== patch.version) {
      problems.push({
        path,
        message: `two versions of ${product} are asked for: ${other} and ${patch.version}`,
      });
    }
    versionOf.set(product, patch.version);
  }
  return problems;
}
