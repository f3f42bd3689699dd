// Longer than 400 lines because it holds the tables of the whole house beside the rules that read them.
/**
 * The rules of the house, enforced. First the tables; then each rule is run over the whole project, and over a small bad
 * example to show that it can fail. What the rules do is in setup/tidy-rules.ts.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSource } from './setup/source-text.ts';
import * as rules from './setup/tidy-rules.ts';

/** Packages, split by where the code runs, and which others each may import. `testsMay`: its tests, in addition. */
const PACKAGES: rules.PackageTable = {
  core: { may: [] },
  contract: { may: ['core'] },
  server: { may: ['core', 'contract'] },
  agent: { may: ['core', 'contract'] },
  cli: { may: ['core', 'contract'] },
  web: { may: ['core', 'contract'] },
  lab: { may: ['contract'] },
  quality: { may: ['core'] },
  reliability: { may: ['core'] },
  bench: { may: ['core', 'contract', 'server', 'agent', 'cli', 'lab', 'quality', 'reliability'] },
};

/** Single imports beyond the table. */
const EXEMPTIONS: readonly rules.Exemption[] = [
  {
    file: 'cli/src/knowledge/make.ts',
    may: 'server/src/feed/',
    because: 'a scan without a server reads the same published formats, and there is one parser for each',
  },
  {
    file: 'quality/src/knowledge.ts',
    may: 'server/src/feed/',
    because: 'the corpus is published files, and goes through the one parser that there is for each format',
  },
  {
    file: 'cli/src/up/local-server.ts',
    may: 'server/src/',
    because: '`fixpoint up` is the server with what a first start needs around it; one process dies as one',
  },
  {
    file: 'cli/src/distribution-point/run.ts',
    may: 'server/src/distribution/',
    because: 'a distribution point alone is the one in the server, without a database',
  },
];

/** Rooms of core; each may import only those above it. */
const CORE_ROOMS = [
  'audit',
  'version',
  'knowledge',
  'window',
  'host-policy',
  'inventory',
  'match',
  'mitigation',
  'finding',
  'risk',
  'reliability',
  'query',
  'tag',
  'posture',
  'task',
  'gate',
  'patch-job',
  'plan',
  'deployment',
];

/** What core may import from npm: libraries without I/O, clock or randomness. */
const PURE_LIBRARIES = [
  '@noble/hashes',
  'canonicalize',
  'ae-cvss-calculator',
  'roaring-wasm',
  'typebox',
  'temporal-polyfill',
  'rrule-temporal',
  'ical.js',
];

/** Table → the room whose store.ts alone writes it. */
const TABLES: Readonly<Record<string, string>> = {
  user: 'auth',
  session: 'auth',
  account: 'auth',
  verification: 'auth',
  token: 'auth',
  server_key: 'auth',
  audit_event: 'audit',
  feed: 'knowledge',
  feed_record: 'knowledge',
  feed_rejection: 'knowledge',
  advisory: 'knowledge',
  vulnerability: 'knowledge',
  statement: 'knowledge',
  cvss: 'knowledge',
  threat: 'knowledge',
  vendor_update: 'knowledge',
  software: 'software',
  software_verdict: 'software',
  asset: 'asset',
  asset_contact: 'asset',
  change_log: 'asset',
  exposure_history: 'finding',
  asset_exposure: 'finding',
  tag: 'tag',
  criticality_rule: 'criticality',
  sla_rule: 'sla',
  risk_acceptance: 'acceptance',
  report: 'report',
  report_count: 'report',
  fleet_change: 'posture',
  patch: 'patch',
  patch_job: 'patch-job',
  deployment: 'deployment',
  task: 'deployment',
  task_event: 'deployment',
  task_log: 'deployment',
  reboot_place: 'deployment',
  plan: 'plan',
  simulation: 'plan',
  job_run: 'schedule',
  calendar: 'calendar',
  patch_denial: 'patch-denial',
  distribution_point: 'distribution',
  alert: 'notify',
  distribution_file: 'distribution',
  feed_setting: 'feed-sync',
  feed_sync: 'feed-sync',
  feed_download: 'feed-sync',
  feed_file: 'feed-sync',
  bundle_key: 'feed-sync',
  schema_migration: 'database',
};

/** What appears in one named file of each package only; everything else is handed a clock, a random source, a client. */
const PLACES: readonly rules.Place[] = [
  { what: 'the time', code: /\bDate\.now\b|\bnew Date\(\s*\)/g, file: 'clock.ts' },
  {
    what: 'randomness',
    code: /\bMath\.random\b|\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/g,
    file: 'random.ts',
  },
  {
    what: 'fetch',
    code: /(?<![.\w])fetch\(|\bglobalThis\.fetch\b/g,
    modules: ['undici'],
    file: 'http-client.ts',
  },
  { what: 'starting processes', modules: ['node:child_process', 'child_process'], file: 'run-command.ts' },
];

/** Programs that developers run, no part of the product: free of PLACES. */
const TOOLS = [
  'server/src/feed/extract/',
  'server/src/database/write-schema.ts',
  'server/src/database/killed-owner.ts',
  'server/src/openapi.ts',
  'agent/build.ts',
];

const BANNED_NAMES = ['helper', 'helpers', 'util', 'utils', 'utility', 'utilities', 'manager', 'managers'];
BANNED_NAMES.push('service', 'services', 'common', 'misc');

const BANNED_TEXTS = [
  {
    what: 'host of a registry or mirror',
    pattern:
      /\b(?:deb|security|snapshot|ftp\.\w+)\.debian\.org\b|\b(?:archive|security)\.ubuntu\.com\b|\bregistry\.(?:npmjs\.org|yarnpkg\.com)\b|\b(?:files\.pythonhosted|pypi)\.org\b|\bdl-cdn\.alpinelinux\.org\b/g,
  },
  { what: 'path of a machine', pattern: /(?<![\w.}~-])\/(?:work|home\/\w+|Users\/\w+|root\/\w+)\/[\w.-]*/g },
];

/** Real data as the world published it or a tool printed it: not ours to reword. */
const QUOTED_DATA =
  /\/(?:golden|sample|samples|recorded|extract|corpus)\/|^package-lock\.json$|^tidy\.test\.ts$/;

const MAXIMUM_LINES = 400;

// ---------------------------------------------------------------------------------------------------------------------

const root = import.meta.dirname;

/** Every text of the project; large ones and binary ones are data, and are left out. */
function readProject(): Map<string, string> {
  const project = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!['node_modules', 'dist', '.git', '.fixpoint', 'coverage', 'screenshots'].includes(entry.name))
          walk(path);
      } else if (entry.isFile() && statSync(join(root, path)).size < 1024 * 1024) {
        const text = readFileSync(join(root, path), 'utf8');
        if (!text.slice(0, 4096).includes('\0')) project.set(path, text);
      }
    }
  };
  walk('');
  return project;
}

const project = readProject();
const packages = Object.keys(PACKAGES);

/** A project of a few files, for showing that a rule can fail. */
const example = (files: Readonly<Record<string, string>>): rules.Project => new Map(Object.entries(files));

test('the project is read whole', () => {
  expect(project.size).toBeGreaterThan(50);
  expect([...project.keys()].filter((path) => path.startsWith('core/src/version/')).length).toBeGreaterThan(
    1,
  );
});

describe('packages import only what the table gives them', () => {
  test('here', () => expect(rules.packageImports(project, PACKAGES, EXEMPTIONS)).toEqual([]));
  test('and not: an agent that imports the server, a path out of the package', () => {
    const bad = example({
      'agent/src/check-in.ts': `import type { A } from '@fixpoint/server/app.ts';\nimport '@fixpoint/core/version/dpkg.ts';`,
      'cli/src/main.ts': `export * from '../../core/src/a.ts';\nconst later = await import('@fixpoint/lab/x.ts');`,
    });
    const exempt = [{ file: 'cli/src/main.ts', may: 'agent/src/', because: 'another package altogether' }];
    expect(rules.packageImports(bad, PACKAGES, exempt)).toEqual([
      'agent/src/check-in.ts:1: agent may not import server',
      'cli/src/main.ts:1: ../../core/src/a.ts leaves the package; import @fixpoint/…',
      'cli/src/main.ts:2: cli may not import lab',
    ]);
  });
});

describe('npm packages are declared where they are imported', () => {
  test('here', () => expect(rules.declaredDependencies(project, PACKAGES)).toEqual([]));
  test('and not: one that another package brought', () => {
    const bad = example({
      'package.json': '{"devDependencies":{"vitest":"1"}}',
      'core/package.json': '{"dependencies":{"@noble/hashes":"1"}}',
      'core/src/a.ts': `import '@noble/hashes/sha2.js'; import { x } from 'lodash/fp'; import 'vitest';`,
      'core/src/a.test.ts': `import 'vitest'; import 'node:fs';`,
    });
    expect(rules.declaredDependencies(bad, PACKAGES)).toEqual([
      'core/src/a.ts:1: lodash is not in core/package.json',
      'core/src/a.ts:1: vitest is not in core/package.json',
    ]);
  });
});

describe('core is layered and pure', () => {
  test('here', () => expect(rules.coreIsLayeredAndPure(project, CORE_ROOMS, PURE_LIBRARIES)).toEqual([]));
  test('and not: a room that imports one below, Node, or a library that does I/O', () => {
    const bad = example({
      'core/src/match/a.ts': `import { b } from '../plan/b.ts';\nimport '../version/c.ts';\nimport { createHash } from 'node:crypto';`,
      'core/src/plan/b.ts': `import pg from 'pg';\nimport '@fixpoint/core/match/a.ts'; import '@fixpoint/core/deployment/d.ts'`,
      'core/src/plan/b.test.ts': `import 'node:fs';`,
      'core/src/misplaced.ts': '',
    });
    expect(rules.coreIsLayeredAndPure(bad, CORE_ROOMS, PURE_LIBRARIES)).toEqual([
      'core/src/match/a.ts:1: match may not import plan, which is below it',
      'core/src/match/a.ts:3: core may not import node:crypto',
      'core/src/plan/b.ts:1: core may not import pg',
      'core/src/plan/b.ts:2: plan may not import deployment, which is below it',
      'core/src/misplaced.ts:1: core has no room "misplaced.ts"',
    ]);
  });
});

describe('nothing imports itself', () => {
  test('here', () => expect(rules.importCycles(project)).toEqual([]));
  test('and not: a way round over another package', () => {
    const bad = example({
      'core/src/a.ts': `import { b } from './b.ts';\nimport type { D } from './d.ts';`,
      'core/src/d.ts': `import { a } from './a.ts';`,
      'core/src/b.ts': `import { c } from '@fixpoint/contract/c.ts';`,
      'contract/src/c.ts': `import '@fixpoint/core/a.ts';`,
    });
    expect(rules.importCycles(bad)).toEqual([
      'core/src/a.ts:1: imports itself: core/src/a.ts → core/src/b.ts → contract/src/c.ts → core/src/a.ts',
    ]);
  });
});

describe('names say what is in a file', () => {
  test('here', () => expect(rules.bannedNames(project, BANNED_NAMES)).toEqual([]));
  test('and not: drawers for everything', () => {
    const bad = example({
      'core/src/utils/a.ts': '',
      'server/src/job-manager.ts': '',
      'server/src/asset/store.ts': '',
    });
    expect(rules.bannedNames(bad, BANNED_NAMES)).toHaveLength(2);
  });
});

describe('time, randomness, network and processes have one file per package', () => {
  test('here', () => expect(rules.onlyInTheirPlace(project, packages, PLACES, TOOLS)).toEqual([]));
  test('and not: elsewhere', () => {
    const bad = example({
      'server/src/clock.ts': 'export const now = () => Date.now();',
      'server/src/asset/commands.ts':
        'const now = new Date();\nconst then = new Date(0);\n// Date.now()\nconst s = "Date.now()";',
      'agent/src/retry.ts': `const wait = Math.random();\nawait fetch(url);\nawait cache.fetch(url);`,
      'agent/src/asset/clock.ts': 'Date.now();',
      'cli/src/open.ts': `import { spawn } from 'node:child_process';`,
      'cli/src/main.ts': 'Date.now();',
      'cli/src/open.test.ts': 'const id = randomUUID(); const text = `${Date.now()}`;',
      'lab/src/id.ts': 'const id = `host-${randomUUID()}`;',
    });
    expect(rules.onlyInTheirPlace(bad, packages, PLACES, TOOLS)).toEqual([
      'server/src/asset/commands.ts:1: the time belongs in server/src/clock.ts',
      'agent/src/retry.ts:1: randomness belongs in agent/src/random.ts',
      'agent/src/retry.ts:2: fetch belongs in agent/src/http-client.ts',
      'agent/src/asset/clock.ts:1: the time belongs in agent/src/clock.ts',
      'cli/src/open.ts:1: starting processes belongs in cli/src/run-command.ts',
      'lab/src/id.ts:1: randomness belongs in lab/src/random.ts',
    ]);
  });
});

describe("routes use no other room's store", () => {
  test('here', () => expect(rules.routesKeepToTheirStore(project)).toEqual([]));
  test("and not: a shortcut past another room's commands", () => {
    const bad = example({
      'server/src/asset/routes.ts': `import './store.ts';\nimport '../tag/commands.ts';\nimport { x } from '../tag/store.ts';`,
    });
    expect(rules.routesKeepToTheirStore(bad)).toEqual([
      "server/src/asset/routes.ts:3: server/src/tag/store.ts is another room's store; use that room's commands",
    ]);
  });
});

describe('each table is written by one store', () => {
  test('here', () => expect(rules.tablesAreWrittenByTheirStore(project, TABLES)).toEqual([]));
  test('every table of the schema has a room', () => {
    const schema = project.get('server/src/database/schema.sql') ?? '';
    const tables = [...schema.matchAll(/^create table "?(\w+)"? /gm)].map((match) => match[1] ?? '');
    expect(tables.length).toBeGreaterThan(10);
    expect(tables.filter((table) => !Object.hasOwn(TABLES, table) && !/\d{4}/.test(table))).toEqual([]);
  });
  test('and not: written by commands, by another room, or by nobody we know', () => {
    const bad = example({
      'server/src/deployment/store.ts': `db.insertInto('task');\nsql\`update asset set \${x}\`;`,
      'server/src/deployment/commands.ts': `db\n  .updateTable('task')\nlog('could not update the asset');`,
      'server/src/asset/store.ts': `db.deleteFrom('nonsense'); db.selectFrom('task'); sql\`\n  insert into asset values (1)\``,
      'server/src/asset/store.test.ts': `db.insertInto('task');`,
    });
    expect(rules.tablesAreWrittenByTheirStore(bad, TABLES)).toEqual([
      'server/src/deployment/store.ts:2: only server/src/asset/store.ts writes asset',
      'server/src/deployment/commands.ts:2: only server/src/deployment/store.ts writes task',
      'server/src/asset/store.ts:1: the table nonsense belongs to no room (TABLES in tidy.test.ts)',
    ]);
  });
});

describe('files can be read in one sitting', () => {
  test('here', () => expect(rules.longFilesSayWhy(project, MAXIMUM_LINES)).toEqual([]));
  test('and not: a long one without a reason', () => {
    const long = 'x\n'.repeat(401);
    const bad = example({
      'a.ts': long,
      'b.ts': `// Longer than 400 lines because the table is one.\n${long}`,
      'c.sql': long,
    });
    expect(rules.longFilesSayWhy(bad, MAXIMUM_LINES)).toHaveLength(1);
  });
});

describe('no hosts of registries or mirrors, no paths of a machine', () => {
  test('here', () => expect(rules.bannedTexts(project, BANNED_TEXTS, QUOTED_DATA)).toEqual([]));
  test('and not: in code or documents; quoted data may', () => {
    const mirror = ['deb', 'debian', 'org'].join('.');
    const bad = example({
      'README.md': `see http://${mirror}/debian\nand /home/somebody/notes`,
      'lab/src/a.ts': `const folder = '/work/main';\nconst home = '/root';\nconst api = \`\${url}/work/orders\`;`,
      'agent/src/collect/recorded/policy.txt': `500 http://${mirror}/debian`,
    });
    expect(rules.bannedTexts(bad, BANNED_TEXTS, QUOTED_DATA)).toEqual([
      `README.md:1: host of a registry or mirror: ${mirror}`,
      'README.md:2: path of a machine: /home/somebody/notes',
      'lab/src/a.ts:1: path of a machine: /work/main',
    ]);
  });
});

describe('package-lock.json is in step with every package.json', () => {
  const { workspaces }: { workspaces: string[] } = JSON.parse(project.get('package.json') ?? '{}');
  test('here', () => expect(rules.lockfileIsInStep(project, workspaces)).toEqual([]));
  test('and not: a version changed in one place', () => {
    const bad = example({
      'package.json': '{"devDependencies":{"vitest":"2"}}',
      'core/package.json': '{"dependencies":{"b":"1","a":"1"}}',
      'package-lock.json':
        '{"packages":{"":{"devDependencies":{"vitest":"1"}},"core":{"dependencies":{"a":"1","b":"1"}}}}',
    });
    expect(rules.lockfileIsInStep(bad, ['core'])).toEqual([
      'package.json:1: its devDependencies are not those of package-lock.json; run "npm install" and commit both',
    ]);
  });
});

describe('reading source text', () => {
  test('code, comments, strings, templates and regular expressions are told apart', () => {
    const text = [
      'const a = "in \\" string"; // comment \'here',
      'const b = `one ${f(`two ${x} three`, { y: "}" })} four`;',
      "const c = /[/'\"`]\\//g.test(a) ? a / b / c : /* import 'no' */ 1;",
      "import { d } from './d.ts';",
    ].join('\n');
    const { code, strings, imports } = readSource(text);
    expect(code.split('\n').map((line) => line.trimEnd().replaceAll(/ {2,}/g, ' '))).toEqual([
      'const a = " ";',
      'const b = ` ${f(` ${x} `, { y: " " })} `;',
      'const c = g.test(a) ? a / b / c : 1;',
      "import { d } from ' ';",
    ]);
    expect(code).toHaveLength(text.length);
    expect(strings.map((string) => string.text)).toEqual([
      'in \\" string',
      'one ',
      'two ',
      ' three',
      '}',
      ' four',
      './d.ts',
    ]);
    expect(imports).toEqual([{ line: 4, specifier: './d.ts', typeOnly: false }]);
  });
});
