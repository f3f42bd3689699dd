// Longer than 400 lines because the table of fields is one, and everything about the language is read from it.
/**
 * What can be asked. One table of fields and one of relations; the parser, completion, evaluation, explanations and
 * docs/query-language.md are all made from them.
 *
 * A field has a type, which decides its operators and values. A relation leads to other things: `asset.os` in a query over
 * findings, `has finding (…)` in one over assets.
 */

export type Subject = 'asset' | 'finding' | 'vulnerability' | 'patch';
/** What a condition can be about: a subject, or a package of an asset or a finding. */
export type Scope = Subject | 'package';

export type FieldType = 'text' | 'number' | 'integer' | 'boolean' | 'date' | 'choice' | 'address' | 'version';

export interface Field {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly type: FieldType;
  /** For sentences: `CVSS score`. Of a boolean the predicate, `is exploited`, with its denial in `denial`. */
  readonly label: string;
  readonly denial?: string;
  readonly description: string;
  readonly examples: readonly string[];
  /** Has any number of values; a comparison holds when it holds for one of them. */
  readonly many?: true;
  /** Has a name of its own after the dot: `attribute.role`. */
  readonly keyed?: true;
  /** For numbers: smallest and largest value that there can be. */
  readonly min?: number;
  readonly max?: number;
  /** For choices: all values; when `ordered`, from the least to the greatest. */
  readonly choices?: readonly string[];
  readonly ordered?: true;
  /** For dates that lie ahead: a duration is the time until then, not since. */
  readonly ahead?: true;
  /** For text: values offered by completion; others are allowed. */
  readonly usual?: readonly string[];
}

export interface Relation {
  readonly from: Scope;
  readonly name: string;
  readonly to: Scope;
  /** False: at most one. */
  readonly many: boolean;
  readonly description: string;
}

export const subjects: readonly Subject[] = ['asset', 'finding', 'vulnerability', 'patch'];
export const scopes: readonly Scope[] = [...subjects, 'package'];

type Traits = Omit<Field, 'name' | 'scopes' | 'type' | 'label' | 'description' | 'examples'>;

function row(
  name: string,
  scopesOfField: readonly Scope[],
  type: FieldType,
  label: string,
  description: string,
  examples: readonly string[],
  traits: Traits = {},
): Field {
  return { name, scopes: scopesOfField, type, label, description, examples, ...traits };
}

const onFinding: readonly Scope[] = ['finding', 'vulnerability'];
const systems = ['debian', 'ubuntu', 'almalinux', 'rocky', 'rhel', 'sles', 'amzn', 'alpine', 'windows'];
const ecosystemNames = 'debian ubuntu almalinux rocky redhat suse opensuse amazon alpine wolfi windows'.split(
  ' ',
);

/** All fields, in the order to show them. */
export const fields: readonly Field[] = [
  row('hostname', ['asset'], 'text', 'hostname', 'Name that the host reports', ['hostname = web-*']),
  row('os', ['asset'], 'text', 'operating system', '`ID` of os-release, or `windows`', ['os = debian'], {
    usual: systems,
  }),
  row('os_release', ['asset'], 'text', 'release', '`VERSION_ID` of os-release', ['os_release in (11, 12)']),
  row(
    'arch',
    ['asset'],
    'text',
    'architecture',
    'Architecture as the package manager names it',
    ['arch = arm64'],
    {
      usual: ['amd64', 'arm64', 'x86_64', 'aarch64'],
    },
  ),
  row('kernel', ['asset'], 'version', 'running kernel', 'Kernel that runs now, as `uname -r` says', [
    'kernel < 6.1.0-25',
    'kernel = 6.1.*',
  ]),
  row(
    'address',
    ['asset'],
    'address',
    'address',
    'IP addresses of the host',
    ['address in 10.0.0.0/8', 'address in (192.0.2.1, 2001:db8::/32)'],
    { many: true },
  ),
  row(
    'tag',
    ['asset'],
    'text',
    'tag',
    'Tags that the asset is in',
    ['tag = production', 'tag in (web, db)'],
    {
      many: true,
    },
  ),
  row(
    'attribute',
    ['asset'],
    'text',
    'attribute',
    'Attributes of your own, by name',
    ['attribute.role = web'],
    {
      keyed: true,
    },
  ),
  row(
    'cloud',
    ['asset'],
    'text',
    'cloud attribute',
    'What the cloud says of the host, by name',
    ['cloud.region = eu-*'],
    {
      keyed: true,
    },
  ),
  row('unit', ['asset'], 'text', 'running unit', 'systemd units that are active', ['unit = nginx.service'], {
    many: true,
  }),
  row(
    'failed_unit',
    ['asset'],
    'text',
    'failed unit',
    'systemd units that have failed',
    ['failed_unit : postgres'],
    {
      many: true,
    },
  ),
  row('held', ['asset'], 'text', 'held package', 'Packages on hold', ['held = docker-ce'], { many: true }),
  row('mode', ['asset'], 'choice', 'mode', 'Whether the agent may change the host', ['mode = manage'], {
    choices: ['assess', 'manage'],
  }),
  row(
    'machine',
    ['asset'],
    'choice',
    'machine',
    'Whether the kernel is its own to patch',
    ['machine = container'],
    {
      choices: ['physical_or_virtual', 'container'],
    },
  ),
  row(
    'criticality',
    ['asset'],
    'integer',
    'criticality',
    'How much depends on it, 1 to 5',
    ['criticality >= 4'],
    {
      min: 1,
      max: 5,
    },
  ),
  row('risk', ['asset'], 'number', 'risk', 'Risk of the asset, 0 to 1000', ['risk > 600'], {
    min: 0,
    max: 1000,
  }),
  row(
    'open_findings',
    ['asset'],
    'integer',
    'number of open findings',
    'Findings that are not closed',
    ['open_findings > 0'],
    {
      min: 0,
    },
  ),
  row(
    'reboot_required',
    ['asset'],
    'boolean',
    'needs a reboot',
    'The host says that it must be rebooted',
    ['reboot_required'],
    {
      denial: 'needs no reboot',
    },
  ),
  row('reachable', ['asset'], 'boolean', 'is reachable', 'Its agent answers in time', ['not reachable'], {
    denial: 'is not reachable',
  }),
  row('last_seen', ['asset'], 'date', 'last check-in', 'When its agent was last heard of', [
    'last_seen > 3d',
  ]),
  row('enrolled', ['asset'], 'date', 'enrolment', 'When it was enrolled', ['enrolled >= 2026-01-01']),
  row('booted', ['asset'], 'date', 'last boot', 'When it was last booted', ['booted > 90d']),
  row('agent_version', ['asset'], 'text', 'agent version', 'Version of its agent', ['agent_version = 0.1.*']),

  row(
    'status',
    ['finding'],
    'choice',
    'status',
    'State of the finding',
    ['status in (open, reboot_pending)'],
    {
      choices: [
        'open',
        'restart_pending',
        'reboot_pending',
        'mitigated',
        'accepted',
        'fixed',
        'undetermined',
      ],
    },
  ),
  row(
    'risk',
    ['finding'],
    'number',
    'risk',
    'Score of the vulnerability on this asset, 0 to 100',
    ['risk 70..100'],
    {
      min: 0,
      max: 100,
    },
  ),
  row('first_seen', ['finding'], 'date', 'first sighting', 'When the finding was first there', [
    'first_seen < 7d',
    'first_seen 2026-01-01..2026-02-01',
  ]),
  row('fixed_at', ['finding'], 'date', 'fix', 'When the finding was closed by a fix', ['fixed_at < 30d']),
  row('reopened', ['finding'], 'boolean', 'was reopened', 'It was fixed before, and is back', ['reopened'], {
    denial: 'was not reopened',
  }),
  row(
    'due',
    ['finding'],
    'date',
    'due date',
    'When the SLA wants it fixed; a duration is the time until then',
    ['due < 7d'],
    {
      ahead: true,
    },
  ),
  row(
    'accepted_until',
    ['finding'],
    'date',
    'end of acceptance',
    'When the acceptance of its risk ends',
    ['accepted_until < 14d'],
    {
      ahead: true,
    },
  ),
  row(
    'fix_available',
    ['finding', 'vulnerability'],
    'boolean',
    'has a fix',
    'The vendor has published a fix',
    ['fix_available'],
    {
      denial: 'has no fix',
    },
  ),
  row(
    'fix_state',
    ['finding'],
    'choice',
    'state of the fix',
    'What the vendor does about it',
    ['fix_state in (will_not_fix, end_of_life)'],
    { choices: ['available', 'none_yet', 'will_not_fix', 'end_of_life', 'deferred', 'unknown'] },
  ),

  row('id', ['vulnerability', 'patch'], 'text', 'id', 'CVE, or id of the patch', ['id = CVE-2024-6387']),
  row(
    'alias',
    ['vulnerability'],
    'text',
    'alias',
    'Other ids of the same vulnerability',
    ['alias = GHSA-*'],
    { many: true },
  ),
  row('title', ['finding', 'vulnerability', 'patch'], 'text', 'title', 'Its title', [
    'title : "remote code execution"',
  ]),
  row(
    'cvss',
    onFinding,
    'number',
    'CVSS score',
    'Base score of the vector that speaks for it, 0 to 10',
    ['cvss 7..9', 'cvss >= 9.8'],
    {
      min: 0,
      max: 10,
    },
  ),
  row(
    'severity',
    onFinding,
    'choice',
    'severity',
    'Severity, from `none` to `critical`; ordered',
    ['severity >= high'],
    {
      choices: ['none', 'low', 'medium', 'high', 'critical'],
      ordered: true,
    },
  ),
  row(
    'epss',
    onFinding,
    'number',
    'EPSS probability',
    'Probability of exploitation in 30 days, 0 to 1',
    ['epss > 0.1', 'epss > 10%'],
    {
      min: 0,
      max: 1,
    },
  ),
  row(
    'exploited',
    onFinding,
    'boolean',
    'is exploited',
    'A source knows of attacks (KEV, SSVC)',
    ['exploited', 'not exploited'],
    {
      denial: 'is not exploited',
    },
  ),
  row('exploited_since', onFinding, 'date', 'first known attack', 'The earliest day that a source gives', [
    'exploited_since < 30d',
  ]),
  row(
    'ransomware',
    onFinding,
    'boolean',
    'is used by ransomware',
    'A source knows of its use by ransomware',
    ['ransomware'],
    {
      denial: 'is not used by ransomware',
    },
  ),
  row(
    'exploit',
    onFinding,
    'choice',
    'exploit',
    'The most mature exploit that is known of; ordered',
    ['exploit >= public'],
    {
      choices: ['none', 'public', 'weaponised', 'active'],
      ordered: true,
    },
  ),
  row('published', ['finding', 'vulnerability', 'patch'], 'date', 'publication', 'When it was published', [
    'published < 30d',
    'published >= 2026-11-01',
  ]),
  row(
    'package',
    ['vulnerability'],
    'text',
    'package',
    'Packages that it is known in',
    ['package in (openssl, curl)'],
    {
      many: true,
    },
  ),
  row(
    'affected_assets',
    ['vulnerability', 'patch'],
    'integer',
    'number of affected assets',
    'Assets with an open finding of it',
    ['affected_assets >= 100'],
    { min: 0 },
  ),
  row(
    'withdrawn',
    ['vulnerability'],
    'boolean',
    'is withdrawn',
    'It was withdrawn or rejected',
    ['not withdrawn'],
    {
      denial: 'is not withdrawn',
    },
  ),

  row('kind', ['patch'], 'choice', 'kind', 'What is deployed', ['kind = mitigation'], {
    choices: ['package', 'update', 'mitigation'],
  }),
  row('package', ['patch'], 'text', 'package', 'Package that it updates', ['package = openssl']),
  row('version', ['patch'], 'version', 'version', "Version, in its own package manager's order", [
    'version < 3.0.20',
  ]),
  row('ecosystem', ['patch'], 'text', 'ecosystem', 'Whose package it is', ['ecosystem = debian'], {
    usual: ecosystemNames,
  }),
  row('release', ['patch'], 'text', 'release', 'Release of the ecosystem', ['release = 12']),
  row(
    'needs_reboot',
    ['patch'],
    'boolean',
    'needs a reboot',
    'It works only after a reboot',
    ['not needs_reboot'],
    {
      denial: 'needs no reboot',
    },
  ),
  row('suspect', ['patch'], 'boolean', 'is suspect', 'A gate failed after it', ['not suspect'], {
    denial: 'is not suspect',
  }),
  row('superseded', ['patch'], 'boolean', 'is superseded', 'A newer patch contains it', ['not superseded'], {
    denial: 'is not superseded',
  }),
  row(
    'reliability',
    ['patch'],
    'number',
    'reliability',
    'Reliability score, 0 to 100',
    ['reliability < 80'],
    {
      min: 0,
      max: 100,
    },
  ),

  row('name', ['package'], 'text', 'package', 'Name of the installed package', ['package.name = lib*']),
  row('version', ['package'], 'version', 'version', "Version, in its own package manager's order", [
    'package.version < 3.0.20',
    'has package (name = openssl and version < 3.0.20)',
  ]),
  row('ecosystem', ['package'], 'text', 'ecosystem', 'Whose package it is', ['package.ecosystem = debian'], {
    usual: ecosystemNames,
  }),
  row('source', ['package'], 'text', 'source package', 'Source package that it was built from', [
    'package.source = openssl',
  ]),
  row('arch', ['package'], 'text', 'architecture', 'Architecture of the package', ['package.arch = i386']),
  row('origin', ['package'], 'choice', 'origin', 'Who built it', ['package.origin = third_party'], {
    choices: ['distribution', 'third_party', 'unknown'],
  }),
  row('vendor', ['package'], 'text', 'vendor', 'Who built it, where it was not the distribution', [
    'package.vendor = NodeSource',
  ]),
];

function relation(from: Scope, name: string, to: Scope, many: boolean, description: string): Relation {
  return { from, name, to, many, description };
}

export const relations: readonly Relation[] = [
  relation('asset', 'finding', 'finding', true, 'findings on the asset'),
  relation('asset', 'package', 'package', true, 'packages installed on the asset'),
  relation('asset', 'patch', 'patch', true, 'patches that would fix something on the asset'),
  relation('finding', 'asset', 'asset', false, 'the asset that the finding is on'),
  relation('finding', 'vulnerability', 'vulnerability', false, 'the vulnerability'),
  relation('finding', 'package', 'package', false, 'the package that is vulnerable'),
  relation('finding', 'patch', 'patch', false, 'the patch that fixes it, where there is one'),
  relation('vulnerability', 'finding', 'finding', true, 'findings of the vulnerability'),
  relation('vulnerability', 'patch', 'patch', true, 'patches that fix the vulnerability'),
  relation('patch', 'vulnerability', 'vulnerability', true, 'vulnerabilities that the patch fixes'),
  relation('patch', 'finding', 'finding', true, 'findings that the patch would close'),
];

/** The field that a relation's own name stands for: `package = openssl` is `package.name = openssl`. */
export const defaultFields: Readonly<Partial<Record<Scope, string>>> = {
  asset: 'hostname',
  vulnerability: 'id',
  patch: 'id',
  package: 'name',
};

/** Where a free word is looked for. */
export const freeWordPaths: Readonly<Record<Scope, readonly string[]>> = {
  asset: ['hostname'],
  finding: ['vulnerability.id', 'title', 'package.name', 'asset.hostname'],
  vulnerability: ['id', 'alias', 'title'],
  patch: ['id', 'title'],
  package: ['name'],
};

const fieldIndex = new Map<string, Field>();
for (const field of fields) for (const scope of field.scopes) fieldIndex.set(`${scope}.${field.name}`, field);
const relationIndex = new Map(relations.map((each) => [`${each.from}.${each.name}`, each]));

export function fieldOf(scope: Scope, name: string): Field | null {
  return fieldIndex.get(`${scope}.${name}`) ?? null;
}

/** A field that a parsed query names; that it is missing is a bug. */
export function knownField(scope: Scope, name: string): Field {
  const field = fieldOf(scope, name);
  if (field === null) throw new Error(`no field ${name} of ${scope}`);
  return field;
}

export function relationOf(scope: Scope, name: string): Relation | null {
  return relationIndex.get(`${scope}.${name}`) ?? null;
}

export function knownRelation(scope: Scope, name: string): Relation {
  const found = relationOf(scope, name);
  if (found === null) throw new Error(`no relation ${name} of ${scope}`);
  return found;
}

export function fieldsOf(scope: Scope): readonly Field[] {
  return fields.filter((field) => field.scopes.includes(scope));
}

export function relationsOf(scope: Scope): readonly Relation[] {
  return relations.filter((each) => each.from === scope);
}

/** What a dotted path leads to. `key` is the name behind a keyed field. */
export interface ResolvedPath {
  readonly relations: readonly Relation[];
  readonly scope: Scope;
  readonly field: Field;
  readonly key: string | null;
}

/** Where a path leads nowhere: the part that is no field of `scope`. `offset` is from the beginning of the path. */
export interface UnresolvedPath {
  readonly scope: Scope;
  readonly part: string;
  readonly offset: number;
}

/** More steps than that say nothing that fewer do not. */
const MAXIMUM_STEPS = 3;
const keyPattern = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** Follows `finding.asset.os` from a scope. Names are read in any case; keys as written. */
export function resolvePath(from: Scope, path: string): ResolvedPath | UnresolvedPath {
  const steps: Relation[] = [];
  let scope = from;
  let offset = 0;
  for (;;) {
    const dot = path.indexOf('.', offset);
    const part = path.slice(offset, dot < 0 ? path.length : dot);
    const rest = dot < 0 ? null : path.slice(dot + 1);
    const field = fieldOf(scope, part.toLowerCase());
    if (field !== null) {
      if (field.keyed !== true && rest === null) return { relations: steps, scope, field, key: null };
      if (field.keyed === true && rest !== null && keyPattern.test(rest))
        return { relations: steps, scope, field, key: rest };
    }
    const step = relationOf(scope, part.toLowerCase());
    if (step === null || steps.length === MAXIMUM_STEPS)
      return field === null ? { scope, part, offset } : { scope, part: path.slice(offset), offset };
    steps.push(step);
    scope = step.to;
    if (rest === null) {
      const standing = defaultFields[scope];
      if (standing === undefined) return { scope: step.from, part, offset };
      return { relations: steps, scope, field: knownField(scope, standing), key: null };
    }
    offset = dot + 1;
  }
}

export function isResolved(path: ResolvedPath | UnresolvedPath): path is ResolvedPath {
  return 'field' in path;
}
