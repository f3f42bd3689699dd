/**
 * What the query language can ask of a vulnerability in a package without an asset: the facts that every finding of a pair
 * shares. What differs from asset to asset (its status, when it was first seen, which version is installed) is not here.
 */
import type { FactValue, QueryRecord } from '../query/evaluate.ts';
import type { Scope } from '../query/fields.ts';
import type { FindingPair, FleetDanger, FleetReading } from './reading.ts';
import { dangerFact } from './select/danger-facts.ts';

/** Fields of fields.ts that all findings of a pair have in common, by scope; `finding` is the finding itself. */
export const pairFields: Readonly<Partial<Record<Scope, readonly string[]>>> = {
  finding: 'title cvss severity epss exploited exploited_since ransomware exploit published'.split(' '),
  vulnerability:
    'id alias title cvss severity epss exploited exploited_since ransomware exploit published withdrawn'.split(
      ' ',
    ),
  package: ['name', 'ecosystem', 'source'],
};

export function isPairField(scope: Scope, field: string): boolean {
  return pairFields[scope]?.includes(field) ?? false;
}

/** A finding of the pair as far as it is the same on every asset. Asking it for anything else is a bug. */
export function pairRecord(fleet: FleetReading, pair: FindingPair): QueryRecord {
  const vulnerability: QueryRecord = {
    field: (name) => vulnerabilityFact(fleet, pair, name),
    related: () => notOfPairs('vulnerability', 'related'),
  };
  const itsPackage: QueryRecord = {
    field: (name) => packageFact(pair, name),
    related: () => notOfPairs('package', 'related'),
  };
  return {
    field(name) {
      const { title, publishedAt } = fleet.vulnerability(pair.vulnerability);
      if (name === 'title') return title;
      if (name === 'published') return publishedAt;
      return danger(fleet.danger(pair.danger), name, 'finding');
    },
    related(relation) {
      if (relation === 'vulnerability') return [vulnerability];
      return relation === 'package' ? [itsPackage] : notOfPairs('finding', relation);
    },
  };
}

function vulnerabilityFact(fleet: FleetReading, { vulnerability }: FindingPair, name: string): FactValue {
  const { id, aliases, title, publishedAt, withdrawn } = fleet.vulnerability(vulnerability);
  switch (name) {
    case 'id':
      return id;
    case 'alias':
      return aliases;
    case 'title':
      return title;
    case 'published':
      return publishedAt;
    case 'withdrawn':
      return withdrawn;
    default:
      return danger(fleet.dangerOf(vulnerability), name, 'vulnerability');
  }
}

function packageFact(pair: FindingPair, name: string): FactValue {
  if (name === 'name') return pair.package;
  if (name === 'ecosystem') return pair.ecosystem;
  if (name !== 'source') return notOfPairs('package', name);
  // Where the software of the pair was built from several sources, it depends on the finding, and is not known of the pair.
  const sources = new Set(pair.carriers.map(({ software }) => software.source));
  const [source] = sources;
  return sources.size === 1 ? (source ?? null) : null;
}

function danger(of: Pick<FleetDanger, 'summary'>, name: string, scope: Scope): FactValue {
  const fact = dangerFact(of, name);
  return fact === undefined ? notOfPairs(scope, name) : fact;
}

function notOfPairs(scope: Scope, name: string): never {
  throw new Error(`${scope}.${name} is not the same for all findings of a vulnerability in a package`);
}
