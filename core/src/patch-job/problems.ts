import { parsePatchId } from '../knowledge/patch.ts';
import { parseMitigationPatchId } from '../mitigation/mitigation.ts';
import { parseRange } from '../tag/definition.ts';
import { scheduleProblems, windowProblems } from '../window/problems.ts';
import type { JobTarget, PatchJobDefinition } from './definition.ts';

export interface DefinitionProblem {
  /** JSON pointer into the definition. */
  readonly path: string;
  readonly message: string;
}

/**
 * Everything about a definition that can be judged without the database; all problems at once. Whether patches, tags and
 * assets exist is the server's to say. `now` (milliseconds since 1970 UTC): then a schedule that never runs again is one too.
 */
export function definitionProblems(
  definition: PatchJobDefinition,
  now: number | null = null,
): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (definition.name.trim() === '') problems.push({ path: '/name', message: 'the name is blank' });
  problems.push(
    ...targetProblems(definition.target),
    ...duplicateProblems(definition.patches, '/patches'),
    ...patchProblems(definition.patches),
    ...selectionProblems(definition),
    ...partProblems(definition),
  );
  problems.push(...timeProblems(definition, now));
  return problems;
}

/** Where a target takes assets from; `tags_all` alone is one too. */
const targetSources = ['tags', 'tags_all', 'ranges', 'assets'] as const;
const targetLists = [...targetSources, 'exclude', 'exclude_tags'] as const;

function targetProblems(target: JobTarget): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  if (targetSources.every((list) => (target[list] ?? []).length === 0) && target.query === undefined) {
    problems.push({
      path: '/target',
      message: 'the target names nothing: no tag, query, range of addresses or asset',
    });
  }
  for (const list of targetLists) problems.push(...duplicateProblems(target[list] ?? [], `/target/${list}`));
  for (const asset of target.assets) {
    if (target.exclude.includes(asset)) {
      problems.push({ path: '/target/exclude', message: `${asset} is both named as a target and excluded` });
    }
  }
  for (const tag of [...target.tags, ...(target.tags_all ?? [])]) {
    if (target.exclude_tags?.includes(tag) === true)
      problems.push({ path: '/target/exclude_tags', message: `${tag} is both a target and excluded` });
  }
  for (const [index, text] of (target.ranges ?? []).entries()) {
    const path = `/target/ranges/${String(index)}`;
    const range = parseRange(text, path);
    if ('ok' in range) problems.push({ path, message: `${range.message}: ${range.what_to_do}` });
  }
  for (const field of ['query', 'exclude_query'] as const) {
    if (target[field]?.trim() === '') {
      problems.push({
        path: `/target/${field}`,
        message: 'an empty query would hold for every asset; if that is meant, hostname = *',
      });
    }
  }
  return problems;
}

/** What is to be patched, and what is not to be touched. */
function selectionProblems(definition: PatchJobDefinition): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const { patches, criteria, exclude_packages: excluded = [], pins = [] } = definition;
  if (patches.length === 0 && criteria === undefined) {
    problems.push({ path: '/patches', message: 'no patch is named, and there are no criteria' });
  }
  if (criteria?.query.trim() === '') {
    problems.push({
      path: '/criteria/query',
      message: 'an empty query would take every vulnerability; if that is meant, id = *',
    });
  }
  if (definition.undo_mitigations === true) {
    if (patches.some((id) => parseMitigationPatchId(id) === null)) {
      problems.push({
        path: '/undo_mitigations',
        message: 'only mitigations can be undone, and other patches are named',
      });
    }
    if (criteria !== undefined) {
      problems.push({
        path: '/criteria',
        message: 'mitigations are to be undone, and criteria only find patches to deploy',
      });
    }
  }
  problems.push(...duplicateProblems(excluded, '/exclude_packages'));
  for (const [index, pattern] of excluded.entries()) {
    if (!packagePattern.test(pattern)) {
      problems.push({
        path: `/exclude_packages/${String(index)}`,
        message: `${JSON.stringify(pattern)} is no name or pattern of packages such as openssl or postgresql-*`,
      });
    }
  }
  problems.push(
    ...duplicateProblems(
      pins.map((pin) => pin.package),
      '/pins',
    ),
  );
  for (const [index, pin] of pins.entries()) {
    const path = `/pins/${String(index)}`;
    if (!packageName.test(pin.package)) {
      problems.push({
        path: `${path}/package`,
        message: `${JSON.stringify(pin.package)} is no name of a package; patterns cannot be pinned`,
      });
    }
    if (/\s/u.test(pin.version))
      problems.push({ path: `${path}/version`, message: 'a version has no spaces' });
    if (excluded.includes(pin.package))
      problems.push({ path, message: `${pin.package} is both pinned and never to be touched` });
  }
  return problems;
}

/** Names of packages of all package managers; the largest set of signs is RPM's. */
const packageName = /^[A-Za-z0-9][A-Za-z0-9+._-]*$/u;
/** A lone star would leave nothing to do. */
const packagePattern = /^(?=.*[^*?])[A-Za-z0-9*?][A-Za-z0-9+._*?-]*$/u;

/** Reboot, rollback, actions and probes. */
function partProblems(definition: PatchJobDefinition): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const { reboot, rollback, actions, health } = definition;
  if (reboot !== undefined) {
    problems.push(
      ...duplicateProblems(
        (reboot.limits ?? []).map((one) => one.tag),
        '/reboot/limits',
      ),
      ...duplicateProblems(reboot.order ?? [], '/reboot/order'),
    );
    for (const field of ['deferrals_maximum', 'deferral_minutes', 'when_nobody'] as const) {
      if (reboot.mode !== 'prompt' && reboot[field] !== undefined) {
        problems.push({
          path: `/reboot/${field}`,
          message: `only a prompt can be put off, and the mode is ${reboot.mode}`,
        });
      }
    }
  }
  if (rollback?.on === 'off' && (rollback.required === true || rollback.method !== undefined)) {
    const field = rollback.required === true ? 'required' : 'method';
    problems.push({
      path: `/rollback/${field}`,
      message: 'rollback is off, so nothing is kept; `by_hand` keeps what a person may put back',
    });
  }
  if (rollback?.on === 'health_failure' && health === undefined) {
    problems.push({ path: '/rollback/on', message: 'there is no health check that could fail' });
  }
  for (const when of ['before', 'after'] as const) {
    problems.push(
      ...duplicateProblems(
        (actions?.[when] ?? []).map((one) => one.name),
        `/actions/${when}`,
      ),
    );
  }
  for (const [index, probe] of (health?.probes ?? []).entries()) {
    if (probe.kind === 'http' && !URL.canParse(probe.url)) {
      problems.push({ path: `/health/probes/${String(index)}/url`, message: `${probe.url} is no URL` });
    }
  }
  return problems;
}

/** Trigger, schedule, windows and calendars. */
function timeProblems(definition: PatchJobDefinition, now: number | null): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const { trigger, schedule, windows, calendars, missed_window: missedWindow } = definition;
  if (trigger === 'schedule' && schedule === undefined)
    problems.push({ path: '/schedule', message: 'the trigger is schedule, and no schedule is given' });
  if (trigger !== 'schedule' && schedule !== undefined) {
    problems.push({
      path: '/schedule',
      message: `a schedule is given, and the trigger is ${trigger}: it would never be heeded`,
    });
  }
  if (schedule !== undefined) problems.push(...scheduleProblems(schedule, now));
  if (windows !== undefined) problems.push(...windowProblems(windows));
  if (missedWindow === 'next_chance' && windows === undefined)
    problems.push({ path: '/missed_window', message: 'without a window none can be missed' });
  return [...problems, ...duplicateProblems(calendars ?? [], '/calendars')];
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
