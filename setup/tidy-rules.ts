/**
 * The rules of the house as functions over a project in memory; tidy.test.ts holds their tables, runs them over the real
 * project, and shows on small bad examples that each can fail.
 */
import { dirname, join } from 'node:path/posix';
import { lineAt, readSource, type Source } from './source-text.ts';

/** Path from the root of the project, with forward slashes → content. */
export type Project = ReadonlyMap<string, string>;

/** Where a rule is broken, and how: `path:line: what`. */
export type Problem = string;

const sources = new WeakMap<Project, Map<string, Source>>();

function sourceOf(project: Project, path: string): Source {
  let read = sources.get(project);
  if (read === undefined) sources.set(project, (read = new Map()));
  let source = read.get(path);
  if (source === undefined) read.set(path, (source = readSource(project.get(path) ?? '')));
  return source;
}

const isCode = (path: string): boolean => /\.(?:ts|tsx|mjs)$/.test(path);
/** Tests and what only tests import (`test-app.ts`). */
export const isTest = (path: string): boolean => /\.test\.tsx?$|(?:^|\/)test-[^/]*\.ts$/.test(path);
const packageOf = (path: string): string => path.split('/')[0] ?? '';
const codeOf = (project: Project, packages: readonly string[]): string[] =>
  [...project.keys()].filter((path) => isCode(path) && packages.includes(packageOf(path)));

/** The file of this project that an import leads to; undefined for packages of others and for `node:`. */
function target(path: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(path), specifier);
  const [, name, rest] = /^@fixpoint\/([^/]+)\/(.+)$/.exec(specifier) ?? [];
  return name === undefined || rest === undefined ? undefined : `${name}/src/${rest}`;
}

export type PackageTable = Readonly<
  Record<string, { readonly may: readonly string[]; readonly testsMay?: readonly string[] }>
>;

/** One import that the table of packages does not give, with its reason. */
export interface Exemption {
  readonly file: string;
  /** Start of the path of what it may import. */
  readonly may: string;
  readonly because: string;
}

/** Packages import only what the table gives them, and no relative path leaves its package. */
export function packageImports(
  project: Project,
  packages: PackageTable,
  exemptions: readonly Exemption[] = [],
): Problem[] {
  return codeOf(project, Object.keys(packages)).flatMap((path) => {
    const own = packageOf(path);
    const row = packages[own];
    const may = new Set([own, ...(row?.may ?? []), ...(isTest(path) ? (row?.testsMay ?? []) : [])]);
    return sourceOf(project, path).imports.flatMap(({ specifier, line }) => {
      const file = target(path, specifier);
      if (file === undefined) return [];
      if (specifier.startsWith('.')) {
        return packageOf(file) === own
          ? []
          : [`${path}:${line}: ${specifier} leaves the package; import @fixpoint/…`];
      }
      const exempt = exemptions.some((one) => one.file === path && file.startsWith(one.may));
      return exempt || may.has(packageOf(file))
        ? []
        : [`${path}:${line}: ${own} may not import ${packageOf(file)}`];
    });
  });
}

/** npm packages are declared by the package that imports them; tests may use the root's tools. */
export function declaredDependencies(project: Project, packages: PackageTable): Problem[] {
  const declared = (manifest: string): string[] => {
    const read: Record<string, Record<string, string> | undefined> = JSON.parse(
      project.get(manifest) ?? '{}',
    );
    return ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'].flatMap((kind) =>
      Object.keys(read[kind] ?? {}),
    );
  };
  const tools = declared('package.json');
  const ofPackage = new Map(Object.keys(packages).map((name) => [name, declared(`${name}/package.json`)]));
  return codeOf(project, Object.keys(packages)).flatMap((path) => {
    const may = new Set([...(ofPackage.get(packageOf(path)) ?? []), ...(isTest(path) ? tools : [])]);
    return sourceOf(project, path).imports.flatMap(({ specifier, line }) => {
      if (/^(?:\.|node:|@fixpoint\/)/.test(specifier)) return [];
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      return may.has(name) || may.has(`@types/${name}`)
        ? []
        : [`${path}:${line}: ${name} is not in ${packageOf(path)}/package.json`];
    });
  });
}

const roomOf = (path: string): string => path.split('/')[2] ?? '';

/** Core: a room imports only rooms above it in the list, nothing of Node, and of npm only pure libraries. */
export function coreIsLayeredAndPure(
  project: Project,
  rooms: readonly string[],
  libraries: readonly string[],
): Problem[] {
  return codeOf(project, ['core'])
    .filter((path) => !isTest(path))
    .flatMap((path) => {
      const own = rooms.indexOf(roomOf(path));
      if (own === -1) return [`${path}:1: core has no room "${roomOf(path)}"`];
      return sourceOf(project, path).imports.flatMap(({ specifier, line }) => {
        const file = target(path, specifier);
        if (file === undefined) {
          return libraries.some((library) => specifier === library || specifier.startsWith(`${library}/`))
            ? []
            : [`${path}:${line}: core may not import ${specifier}`];
        }
        return rooms.indexOf(roomOf(file)) <= own
          ? []
          : [`${path}:${line}: ${roomOf(path)} may not import ${roomOf(file)}, which is below it`];
      });
    });
}

/** No file imports itself, however long the way round. Types are erased before anything runs, and do not count. */
export function importCycles(project: Project): Problem[] {
  const done = new Set<string>();
  const problems: Problem[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const seenAt = way.indexOf(path);
    if (seenAt !== -1)
      problems.push(`${path}:1: imports itself: ${[...way.slice(seenAt), path].join(' → ')}`);
    if (seenAt !== -1 || done.has(path) || !project.has(path)) return;
    for (const { specifier, typeOnly } of sourceOf(project, path).imports) {
      const next = target(path, specifier);
      if (next !== undefined && !typeOnly) visit(next, [...way, path]);
    }
    done.add(path);
  };
  for (const path of project.keys()) if (isCode(path)) visit(path, []);
  return problems;
}

/** File and folder names are the field's nouns. */
export function bannedNames(project: Project, banned: readonly string[]): Problem[] {
  return [...project.keys()].flatMap((path) => {
    const words = path.toLowerCase().split(/[/.\-_]/);
    const word = banned.find((name) => words.includes(name));
    return word === undefined ? [] : [`${path}:1: "${word}" says nothing about what is in it`];
  });
}

export interface Place {
  readonly what: string;
  /** Found in code (not in comments or strings), or as an imported module. */
  readonly code?: RegExp;
  readonly modules?: readonly string[];
  /** The one file of each package's `src` that may have it. */
  readonly file: string;
}

/** Time, randomness, network and processes each have one file per package; main.ts, tests and tools are free. */
export function onlyInTheirPlace(
  project: Project,
  packages: readonly string[],
  places: readonly Place[],
  tools: readonly string[],
): Problem[] {
  return codeOf(project, packages)
    .filter(
      (path) =>
        !isTest(path) && !path.endsWith('/src/main.ts') && !tools.some((tool) => path.startsWith(tool)),
    )
    .flatMap((path) => {
      const { code, imports } = sourceOf(project, path);
      return places.flatMap(({ what, code: pattern, modules = [], file }) => {
        const place = `${packageOf(path)}/src/${file}`;
        if (path === place) return [];
        const lines = [
          ...(pattern === undefined
            ? []
            : [...code.matchAll(pattern)].map(({ index }) => lineAt(code, index))),
          ...imports.filter(({ specifier }) => modules.includes(specifier)).map(({ line }) => line),
        ];
        return lines.map((line) => `${path}:${line}: ${what} belongs in ${place}`);
      });
    });
}

/** In a server room, routes reach data through commands or the room's own store, never another room's store. */
export function routesKeepToTheirStore(project: Project): Problem[] {
  return codeOf(project, ['server'])
    .filter((path) => /^server\/src\/[^/]+\/routes\.ts$/.test(path))
    .flatMap((path) =>
      sourceOf(project, path).imports.flatMap(({ specifier, line }) => {
        const file = target(path, specifier);
        return file?.endsWith('/store.ts') && dirname(file) !== dirname(path)
          ? [`${path}:${line}: ${file} is another room's store; use that room's commands`]
          : [];
      }),
    );
}

/** Writing statements: Kysely's, and SQL in strings. COPY counts when it reads. */
const KYSELY_WRITE = /\b(?:insertInto|updateTable|deleteFrom|mergeInto|replaceInto)\s*\(\s*['"]/g;
const SQL_WRITE =
  /\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy)\s+"?([a-z_]+)"?/gi;

/** Each table is written by the store of one room. */
export function tablesAreWrittenByTheirStore(
  project: Project,
  rooms: Readonly<Record<string, string>>,
): Problem[] {
  return codeOf(project, ['server', 'cli', 'agent', 'lab'])
    .filter((path) => !isTest(path) && !path.startsWith('server/src/database/'))
    .flatMap((path) => {
      const { code, strings } = sourceOf(project, path);
      const written: { table: string; line: number }[] = [];
      const text = project.get(path) ?? '';
      for (const match of code.matchAll(KYSELY_WRITE)) {
        const start = match.index + match[0].length;
        const table = /^[\w.]+/.exec(text.slice(start, start + 80))?.[0] ?? '';
        written.push({ table, line: lineAt(code, match.index) });
      }
      for (const string of strings) {
        for (const match of string.text.matchAll(SQL_WRITE)) {
          const table = match[1] ?? '';
          const line = string.line + lineAt(string.text, match.index) - 1;
          // "update" and "copy" are English words, too; only a table after them makes SQL.
          if (Object.hasOwn(rooms, table)) written.push({ table, line });
        }
      }
      return written.flatMap(({ table, line }) => {
        const room = rooms[table];
        if (room === undefined)
          return [`${path}:${line}: the table ${table} belongs to no room (TABLES in tidy.test.ts)`];
        const store = `server/src/${room}/store.ts`;
        return path === store ? [] : [`${path}:${line}: only ${store} writes ${table}`];
      });
    });
}

/** A file longer than can be read in one sitting says why. */
export function longFilesSayWhy(project: Project, limit: number): Problem[] {
  return [...project].flatMap(([path, text]) => {
    if (!isCode(path)) return [];
    const lines = text.split('\n').length - 1;
    const reason = /^\/\/ Longer than 400 lines because \S/m.exec(text.split('\n', 5).join('\n'));
    return lines <= limit || reason !== null
      ? []
      : [`${path}:1: ${lines} lines; split it, or begin it with "// Longer than ${limit} lines because …"`];
  });
}

/** Texts that no file may hold: hosts of registries and mirrors, paths of the machine it was written on. */
export function bannedTexts(
  project: Project,
  banned: readonly { readonly what: string; readonly pattern: RegExp }[],
  quoted: RegExp,
): Problem[] {
  return [...project].flatMap(([path, text]) =>
    quoted.test(path)
      ? []
      : banned.flatMap(({ what, pattern }) =>
          [...text.matchAll(pattern)].map(
            (match) => `${path}:${lineAt(text, match.index)}: ${what}: ${match[0].trim()}`,
          ),
        ),
  );
}

/** What "npm ci" would refuse: a package.json that says other than the lockfile. */
export function lockfileIsInStep(project: Project, workspaces: readonly string[]): Problem[] {
  type Manifest = Record<string, Record<string, string> | undefined>;
  const lock: { packages: Record<string, Manifest> } = JSON.parse(project.get('package-lock.json') ?? '{}');
  return ['', ...workspaces].flatMap((workspace) => {
    const path = workspace === '' ? 'package.json' : `${workspace}/package.json`;
    const manifest: Manifest = JSON.parse(project.get(path) ?? '{}');
    const locked = lock.packages[workspace] ?? {};
    return ['dependencies', 'devDependencies', 'optionalDependencies']
      .filter((kind) => canonical(manifest[kind]) !== canonical(locked[kind]))
      .map(
        (kind) =>
          `${path}:1: its ${kind} are not those of package-lock.json; run "npm install" and commit both`,
      );
  });
}

function canonical(versions: Record<string, string> | undefined): string {
  return JSON.stringify(Object.entries(versions ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
}
