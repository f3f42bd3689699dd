import { compareVersions } from '../version/version.ts';

/**
 * What a Debian package needs of others (deb-control(5), "Depends" and "Pre-Depends"): groups separated by commas, of which
 * each is met by any of its alternatives.
 */

/** `libc6 (>= 2.36)` */
interface Relation {
  readonly name: string;
  readonly operator: '<<' | '<=' | '=' | '>=' | '>>';
  readonly version: string;
}

/**
 * The groups that what is installed does not meet, as they are written, sorted. Only relations with a version count: a bare
 * name that is not installed may be provided by another package, which the record does not tell.
 *
 * @param fields the values of Depends and Pre-Depends
 * @param installed version of each installed package by its name
 */
export function unmetDependencies(
  fields: readonly string[],
  installed: ReadonlyMap<string, string>,
): string[] {
  const unmet = new Set<string>();
  for (const group of fields.flatMap((field) => field.split(','))) {
    const alternatives = group.split('|').map((one) => one.trim());
    const relations = alternatives.map(parseRelation);
    if (relations.some((relation) => relation === null || isMet(relation, installed))) continue;
    unmet.add(alternatives.join(' | '));
  }
  return [...unmet].sort();
}

/** Null for what has no version, or cannot be read: then nothing is claimed of it. */
function parseRelation(text: string): Relation | null {
  const match = /^([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*\((<<|<=|=|>=|>>)\s*(\S+)\)/u.exec(text);
  const [, name, operator, version] = match ?? [];
  if (name === undefined || version === undefined) return null;
  switch (operator) {
    case '<<':
    case '<=':
    case '=':
    case '>=':
    case '>>':
      return { name, operator, version };
    default:
      return null;
  }
}

function isMet({ name, operator, version }: Relation, installed: ReadonlyMap<string, string>): boolean {
  const has = installed.get(name);
  if (has === undefined) return false;
  const order = compareVersions('dpkg', has, version);
  if (order === 'equal') return operator === '<=' || operator === '=' || operator === '>=';
  if (order === 'less') return operator === '<<' || operator === '<=';
  return order === 'greater' && (operator === '>>' || operator === '>=');
}
