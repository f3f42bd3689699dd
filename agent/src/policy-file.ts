import { parse, TomlError } from 'smol-toml';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { parseHours } from '@fixpoint/core/host-policy/hours.ts';
import { nearest } from '@fixpoint/core/query/nearest.ts';

/** The text of a policy file, read as a whole or not at all: what is not understood might have been meant to forbid something. */

const name = '^[a-z0-9][a-z0-9_-]{0,62}$';
const closed = { additionalProperties: false } as const;
const names = (pattern: string) =>
  Type.Optional(Type.Array(Type.String({ pattern, maxLength: 256 }), { maxItems: 1_000 }));
const packagePattern = '^[A-Za-z0-9*][A-Za-z0-9*+._-]*$';
const unitPattern = '^[A-Za-z0-9*][A-Za-z0-9*:_.@-]*$';
const targetPattern = '^(?:\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9][A-Za-z0-9._-]*)(?::[0-9]{1,5})?$';
const hours = Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 100 }));
const allow = Type.Optional(Type.Boolean());

const Command = Type.Object(
  {
    /** Program by its whole path (`=` in it would be taken for a variable), then its arguments. */
    command: Type.Array(Type.String({ maxLength: 4_096 }), { minItems: 1, maxItems: 100 }),
    user: Type.Optional(Type.String({ pattern: '^[a-z_][a-z0-9_.-]{0,31}[$]?$' })),
    timeout_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 86_400 })),
    environment: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^(?!FIXPOINT_)[A-Z_][A-Z0-9_]{0,63}$' }),
        Type.String({ maxLength: 4_096 }),
        closed,
      ),
    ),
  },
  closed,
);

const PolicyText = Type.Object(
  {
    patching: Type.Optional(
      Type.Object(
        { allow, packages: Type.Optional(Type.Object({ forbid: names(packagePattern) }, closed)), hours },
        closed,
      ),
    ),
    reboot: Type.Optional(Type.Object({ allow, hours }, closed)),
    rollback: Type.Optional(Type.Object({ allow }, closed)),
    units: Type.Optional(Type.Object({ never_restart: names(unitPattern) }, closed)),
    actions: Type.Optional(Type.Record(Type.String({ pattern: name }), Command, closed)),
    probes: Type.Optional(Type.Record(Type.String({ pattern: name }), Command, closed)),
    /** In the file, they stand among the probes. */
    targets: names(targetPattern),
  },
  closed,
);

export type PolicyCommandText = Static<typeof Command>;
export type PolicyContent = Static<typeof PolicyText>;

export type ParsedPolicy =
  | { readonly ok: true; readonly content: PolicyContent }
  /** `problem`: one line for a person, with the line of the file as far as it can be told. */
  | { readonly ok: false; readonly problem: string };

/** Which keys there are, by the path of the table that they stand in; `*` is a name that the owner chooses. */
const knownKeys: readonly (readonly [table: string, keys: readonly string[]])[] = [
  ['', ['patching', 'reboot', 'rollback', 'units', 'actions', 'probes']],
  ['patching', ['allow', 'packages', 'hours']],
  ['patching.packages', ['forbid']],
  ['reboot', ['allow', 'hours']],
  ['rollback', ['allow']],
  ['units', ['never_restart']],
  ['actions.*', ['command', 'user', 'timeout_seconds', 'environment']],
  ['probes.*', ['command', 'user', 'timeout_seconds', 'environment']],
];

/** Reads the text of a policy file. */
export function parsePolicy(text: string): ParsedPolicy {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parse(text, { unsafeKeyBehaviour: 'throw', maxDepth: 20 });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [first = ''] = error.message.replace(/^Invalid TOML document: /u, '').split('\n');
    return { ok: false, problem: `Line ${String(error.line)}: it is no TOML: ${first}.` };
  }
  const bad = (path: readonly string[], message: string): ParsedPolicy => {
    const line = lineOf(text, path);
    return { ok: false, problem: `${line === null ? '' : `Line ${String(line)}: `}${message}` };
  };
  for (const [path, keys] of knownKeys) {
    for (const found of tablesAt(table, path === '' ? [] : path.split('.'))) {
      const unknown = Object.keys(found.table).find((key) => !keys.includes(key));
      if (unknown === undefined) continue;
      const [meant] = nearest(unknown, keys);
      const where = found.path.length === 0 ? '' : ` in [${found.path.join('.')}]`;
      return bad(
        [...found.path, unknown],
        `there is no ${JSON.stringify(unknown)}${where}; ${meant === undefined ? `there are ${keys.join(', ')}` : `did you mean ${meant}?`}`,
      );
    }
  }
  const parsed = parseShape(PolicyText, withTargetsApart(table));
  if (!parsed.ok) {
    const [problem] = parsed.problems;
    const found = (problem?.path ?? '').split('/').slice(1);
    const path = found[0] === 'targets' ? ['probes', ...found] : found;
    return bad(path, `${path.join('.')} ${meaningOf(path) ?? problem?.message ?? 'is wrong'}.`);
  }
  return checked(parsed.value, bad);
}

function withTargetsApart(table: Readonly<Record<string, unknown>>): unknown {
  const { probes } = table;
  if (typeof probes !== 'object' || probes === null || !('targets' in probes)) return table;
  const { targets, ...commands } = probes;
  return { ...table, probes: commands, targets };
}

/** What a schema cannot say. */
function checked(
  content: PolicyContent,
  bad: (path: readonly string[], message: string) => ParsedPolicy,
): ParsedPolicy {
  for (const section of ['patching', 'reboot'] as const) {
    for (const line of content[section]?.hours ?? []) {
      const parsed = parseHours(line);
      if (!parsed.ok) return bad([section, 'hours'], `hours: ${parsed.message}.`);
    }
  }
  for (const kind of ['actions', 'probes'] as const) {
    for (const [key, { command }] of Object.entries(content[kind] ?? {})) {
      const path = [kind, key, 'command'];
      if (!/^\/[^=]*$/u.test(command[0] ?? ''))
        return bad(
          path,
          `${path.join('.')} begins with a program by its whole path, such as /usr/local/bin/drain.`,
        );
      if (command.some((word) => word.includes('\0')))
        return bad(path, `${path.join('.')} holds a character that no argument can hold.`);
    }
  }
  return { ok: true, content };
}

/** What must stand there, for a person; null where the schema's own words do. */
function meaningOf(path: readonly string[]): string | null {
  const last = path.findLast((part) => !/^\d+$/u.test(part));
  if (path.length === 2 && (path[0] === 'actions' || path[0] === 'probes'))
    return 'has a name of small letters, digits, - and _, and a table with a command';
  switch (last) {
    case 'allow':
      return 'is true or false';
    case 'hours':
      return 'is a list of hours such as "mon-fri 22:00-04:00"';
    case 'forbid':
      return 'is a list of package names, in which * stands for anything';
    case 'never_restart':
      return 'is a list of unit names, in which * stands for anything';
    case 'targets':
      return 'is a list of "host" or "host:port"';
    case 'command':
      return 'is a list: a program by its whole path, then its arguments';
    case 'timeout_seconds':
      return 'is a number of seconds from 1 to 86400';
    case 'user':
      return 'is the name of a user';
    case 'environment':
      return 'is a table of texts; names are in capitals and do not begin with FIXPOINT_';
    default:
      return null;
  }
}

/** The tables that a path leads to; `*` leads to each. */
function tablesAt(
  value: unknown,
  path: readonly string[],
  from: readonly string[] = [],
): { readonly path: readonly string[]; readonly table: object }[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const [next, ...rest] = path;
  if (next === undefined) return [{ path: from, table: value }];
  return Object.entries(value).flatMap(([key, below]) =>
    next === key || next === '*' ? tablesAt(below, rest, [...from, key]) : [],
  );
}

/** The first line of the file that leads to a key, or nearest to it; null when none does. TOML has no such thing itself. */
function lineOf(text: string, path: readonly string[]): number | null {
  let header: string[] = [];
  let best: { line: number; depth: number } | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const table = /^\s*\[\[?\s*([^\]#]+?)\s*\]/u.exec(line)?.[1];
    const key = /^\s*([A-Za-z0-9_."'-]+)\s*=/u.exec(line)?.[1];
    if (table !== undefined) header = keysOf(table);
    const here = table !== undefined ? header : key !== undefined ? [...header, ...keysOf(key)] : null;
    if (here === null) continue;
    const depth = here.findIndex((part, i) => part !== path[i]);
    const shared = depth < 0 ? Math.min(here.length, path.length) : depth;
    if (shared === here.length || shared === path.length) {
      if (shared > (best?.depth ?? 0)) best = { line: index + 1, depth: shared };
    }
  }
  return best?.line ?? null;
}

function keysOf(dotted: string): string[] {
  return dotted.split('.').map((part) => part.trim().replaceAll(/^["']|["']$/gu, ''));
}
