/**
 * What can be shown of an asset, a finding, a vulnerability and a patch: one table of columns for each, for search, reports,
 * exports and the command line. A column has the name of the field of the query language that it shows (`cvss`,
 * `asset.hostname`), so whoever sees it knows how to ask for it; a few say more than can be asked.
 */
import { patchId } from '../../knowledge/patch.ts';
import { fieldOf, type Subject } from '../../query/fields.ts';
import { nearest } from '../../query/nearest.ts';
import { patchNamed, type FleetPatch } from '../patches.ts';
import type { FleetFinding, FleetReading } from '../reading.ts';
import { capital, recorded, rowOf, shape, shown, type Column, type Items, type Sort } from './column.ts';

export { severityOf } from './severity.ts';

const ofAsset = (name: string): Column<number> => recorded('asset', name);

const assetColumns: readonly Column<number>[] = [
  {
    name: 'id',
    title: 'Asset id',
    type: 'text',
    description: 'Id of the asset, the same for good',
    of: ({ fleet, item }) => fleet.assets.uid(item),
  },
  ...(
    'hostname os os_release arch kernel address tag criticality risk open_findings reboot_required reachable ' +
    'last_seen enrolled booted agent_version mode machine held unit failed_unit'
  )
    .split(' ')
    .map(ofAsset),
];

/** Of an asset that a finding is on. */
function ofItsAsset(column: Column<number>): Column<FleetFinding> {
  return {
    ...column,
    name: `asset.${column.name}`,
    title:
      column.name === 'hostname' || column.name === 'id' ? column.title : `Asset: ${lowered(column.title)}`,
    of: ({ fleet, item, now }) => column.of(rowOf('asset', fleet, item.asset, now)),
  };
}

const lowered = (title: string): string =>
  /^[A-Z][a-z]/.test(title) ? `${title.charAt(0).toLowerCase()}${title.slice(1)}` : title;

const ofFinding = (name: string): Column<FleetFinding> => recorded('finding', name);

const findingColumns: readonly Column<FleetFinding>[] = [
  {
    name: 'vulnerability',
    title: 'Vulnerability',
    type: 'text',
    description: 'Id of the vulnerability',
    of: ({ fleet, item }) => fleet.vulnerability(item.pair.vulnerability).id,
  },
  ofFinding('title'),
  ofFinding('status'),
  ofFinding('risk'),
  {
    name: 'package',
    title: 'Package',
    type: 'text',
    description: 'The package that is vulnerable, as patches name it',
    of: ({ item }) => item.pair.package,
  },
  {
    name: 'package.version',
    title: 'Installed',
    type: 'text',
    description: 'Version that is installed',
    of: ({ item }) => item.spokesman.software.version,
  },
  {
    name: 'installed',
    title: 'Installed packages',
    type: 'list',
    description: 'All installed packages that carry it, with their versions',
    of: ({ fleet, item }) =>
      item.software.flatMap((id) => {
        const facts = fleet.software(id)?.facts;
        return facts === undefined ? [] : [`${facts.name} ${facts.version}`];
      }),
  },
  {
    name: 'fixed_version',
    title: 'Fixed in',
    type: 'text',
    description: 'Version that fixes it, of a package or of Windows',
    of: ({ item }) => item.spokesman.verdict.update?.build ?? item.spokesman.verdict.fixedVersion,
  },
  ofFinding('fix_state'),
  {
    name: 'patch',
    title: 'Patch',
    type: 'text',
    description: 'The patch that fixes it',
    of: ({ item }) => patchOf(item),
  },
  ofFinding('fix_available'),
  ofFinding('severity'),
  ofFinding('cvss'),
  ofFinding('epss'),
  ofFinding('exploited'),
  ofFinding('exploited_since'),
  ofFinding('exploit'),
  ofFinding('ransomware'),
  ofFinding('published'),
  ofFinding('first_seen'),
  ofFinding('due'),
  ofFinding('reopened'),
  ofFinding('accepted_until'),
  ...assetColumns.map(ofItsAsset),
];

/** Id of the patch that fixes a finding; null where there is none. */
export function patchOf({ spokesman }: FleetFinding): string | null {
  const named = patchNamed(spokesman);
  return named === null ? null : patchId(named);
}

const ofVulnerability = (name: string): Column<number> => recorded('vulnerability', name);

const vulnerabilityColumns: readonly Column<number>[] = [
  ...'id alias title'.split(' ').map(ofVulnerability),
  {
    name: 'score',
    title: 'Score',
    type: 'number',
    decimals: 1,
    description: 'Likelihood and impact together, 0 to 100',
    of: ({ fleet, item }) => fleet.dangerOf(item).score.score,
  },
  ...(
    'severity cvss epss exploited exploited_since exploit ransomware fix_available affected_assets package published ' +
    'withdrawn'
  )
    .split(' ')
    .map(ofVulnerability),
];

const ofPatch = (name: string): Column<FleetPatch> => recorded('patch', name);

const patchColumns: readonly Column<FleetPatch>[] = [
  ...'id kind title package version ecosystem release affected_assets'.split(' ').map(ofPatch),
  {
    name: 'findings',
    title: 'Findings',
    type: 'number',
    decimals: 0,
    description: 'Findings that it would close',
    of: ({ item }) => item.findings(),
  },
  {
    name: 'vulnerability',
    title: 'Vulnerabilities',
    type: 'list',
    description: 'Vulnerabilities that it fixes on assets of the fleet',
    of: ({ fleet, item }) => vulnerabilitiesOf(fleet, item),
  },
  ...'needs_reboot superseded published suspect reliability'.split(' ').map(ofPatch),
];

function vulnerabilitiesOf(fleet: FleetReading, patch: FleetPatch): string[] {
  const found = new Set<number>();
  for (const pair of patch.pairs())
    if (!patch.closedOn(pair).isEmpty) found.add(fleet.pair(pair).vulnerability);
  return [...found].map((index) => fleet.vulnerability(index).id).sort();
}

/** All columns, in the order to offer them. Of assets, also on findings, there are `attribute.NAME` and `cloud.NAME` besides. */
export const columns: { readonly [S in Subject]: readonly Column<Items[S]>[] } = {
  asset: assetColumns,
  finding: findingColumns,
  vulnerability: vulnerabilityColumns,
  patch: patchColumns,
};

/** What is shown where nobody has chosen. */
export const defaultColumns: Readonly<Record<Subject, readonly string[]>> = {
  asset: 'hostname os os_release criticality risk open_findings tag last_seen'.split(' '),
  finding:
    'vulnerability asset.hostname package package.version fixed_version status risk severity exploited first_seen due'.split(
      ' ',
    ),
  vulnerability:
    'id title score severity epss exploited exploit affected_assets fix_available published'.split(' '),
  patch: 'package version ecosystem release affected_assets findings needs_reboot'.split(' '),
};

/** In what order where nobody has chosen: what matters most comes first, and equals always in the same order. */
export const defaultSort: Readonly<Record<Subject, readonly Sort[]>> = {
  asset: [
    { by: 'risk', descending: true },
    { by: 'hostname', descending: false },
  ],
  finding: [
    { by: 'risk', descending: true },
    { by: 'asset.risk', descending: true },
    { by: 'vulnerability', descending: false },
    { by: 'asset.hostname', descending: false },
  ],
  vulnerability: [
    { by: 'score', descending: true },
    { by: 'id', descending: false },
  ],
  patch: [
    { by: 'findings', descending: true },
    { by: 'id', descending: false },
  ],
};

const index: { readonly [S in Subject]: ReadonlyMap<string, Column<Items[S]>> } = {
  asset: new Map(assetColumns.map((column) => [column.name, column])),
  finding: new Map(findingColumns.map((column) => [column.name, column])),
  vulnerability: new Map(vulnerabilityColumns.map((column) => [column.name, column])),
  patch: new Map(patchColumns.map((column) => [column.name, column])),
};

/** The column of a name; null where there is none. Keyed fields of assets have a column for each key. */
export function columnOf<S extends Subject>(subject: S, name: string): Column<Items[S]> | null {
  return index[subject].get(name) ?? keyedColumns[subject](name);
}

const noKeys = (): null => null;
const keyedColumns: { readonly [S in Subject]: (name: string) => Column<Items[S]> | null } = {
  asset: keyedOfAsset,
  finding: (name) => {
    const column = name.startsWith('asset.') ? keyedOfAsset(name.slice('asset.'.length)) : null;
    return column === null ? null : ofItsAsset(column);
  },
  vulnerability: noKeys,
  patch: noKeys,
};

/** `attribute.role`, `cloud.region` */
function keyedOfAsset(name: string): Column<number> | null {
  const [, fieldName = '', key = ''] = /^([a-z]+)\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$/.exec(name) ?? [];
  const field = fieldOf('asset', fieldName);
  if (field?.keyed !== true || key.length > 200) return null;
  return {
    ...shape(name, field),
    title: `${capital(field.label)} ${key}`,
    of: (row) => shown(row.record().field(fieldName, key), 'text'),
  };
}

/** Names of columns that may have been meant, the nearest first. */
export function columnsLike(subject: Subject, name: string): string[] {
  return nearest(
    name,
    columns[subject].map((column) => column.name),
  );
}
