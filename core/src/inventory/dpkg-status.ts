import type { InstalledPackage } from './inventory.ts';

/**
 * Reads dpkg's database of installed packages, /var/lib/dpkg/status: stanzas as deb-control(5), fields as dpkg's own
 * lib/dpkg/fields.c writes them. All or nothing: a list that may be partial would read as "not installed, so not
 * vulnerable", so anything that dpkg would not have written refuses the whole text.
 */

export interface DpkgStatus {
  /** Every package whose code is on disk, in the order of the file. */
  readonly packages: InstalledPackage[];
  /** `name` of packages on hold, sorted, each once. */
  readonly held: string[];
  /** `name:arch` of packages that are on disk and not configured: half-installed, unpacked, half-configured, triggers. */
  readonly unconfigured: string[];
  /** `name:arch` → Maintainer of each package, empty where it has none: a sign of who built it (`deb-origin.ts`). */
  readonly maintainers: ReadonlyMap<string, string>;
}

export type DpkgStatusRefusalCode = 'dpkg_status_empty' | 'dpkg_status_truncated' | 'dpkg_status_corrupt';

export interface DpkgStatusRefusal {
  readonly ok: false;
  readonly code: DpkgStatusRefusalCode;
  readonly message: string;
  readonly what_to_do: string;
  /** 1-based line of the file. */
  readonly line: number;
}

export type DpkgStatusParse = { readonly ok: true; readonly status: DpkgStatus } | DpkgStatusRefusal;

const whatToDo =
  'Run `dpkg --audit` on the host; /var/lib/dpkg/status-old and /var/backups/dpkg.status.* hold earlier copies.';

/**
 * Parses the text of /var/lib/dpkg/status. Refuses an empty, truncated or corrupt one.
 *
 * A package counts as there from `half-installed` to `installed`: its code may be on disk and may run. `not-installed`
 * and `config-files` do not.
 */
export function parseDpkgStatus(text: string): DpkgStatusParse {
  if (text.trim() === '') return refuse(text, 0, 'dpkg_status_empty', 'dpkg status holds no package');
  if (text.includes('\0')) {
    return refuse(text, text.indexOf('\0'), 'dpkg_status_corrupt', 'dpkg status holds a zero byte');
  }
  // dpkg ends every stanza, the last one too, with an empty line.
  if (!text.endsWith('\n\n')) {
    return refuse(text, text.length, 'dpkg_status_truncated', 'dpkg status ends in the middle of a package');
  }
  const packages: InstalledPackage[] = [];
  const held = new Set<string>();
  const unconfigured: string[] = [];
  const maintainers = new Map<string, string>();
  const seen = new Set<string>();
  let start = 0;
  while (start < text.length) {
    if (text.charCodeAt(start) === newline) {
      start++;
      continue;
    }
    const end = text.indexOf('\n\n', start);
    const stanza = parseStanza(text, start, end);
    if ('at' in stanza) return refuse(text, stanza.at, 'dpkg_status_corrupt', stanza.problem);
    start = end + 2;
    const { want, state, name, arch } = stanza;
    if (want === 'hold') held.add(name);
    if (!statesWithCode.has(state)) continue;
    const key = `${name}:${arch}`;
    if (seen.has(key)) {
      return refuse(text, end, 'dpkg_status_corrupt', `dpkg status holds ${key} twice`);
    }
    seen.add(key);
    if (state !== 'installed') unconfigured.push(key);
    maintainers.set(key, stanza.maintainer);
    packages.push({
      name,
      arch,
      version: stanza.version,
      source: stanza.source,
      source_version: stanza.sourceVersion,
    });
  }
  if (packages.length === 0) return refuse(text, 0, 'dpkg_status_empty', 'dpkg status holds no package');
  return { ok: true, status: { packages, held: [...held].sort(), unconfigured, maintainers } };
}

interface Stanza {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly sourceVersion: string;
  readonly maintainer: string;
  readonly want: string;
  readonly state: string;
}
interface StanzaProblem {
  readonly at: number;
  readonly problem: string;
}

const newline = 10;
const wants = new Set(['unknown', 'install', 'hold', 'deinstall', 'purge']);
const statesWithCode = new Set([
  'installed',
  'half-installed',
  'unpacked',
  'half-configured',
  'triggers-awaited',
  'triggers-pending',
]);
const statesWithoutCode = new Set(['not-installed', 'config-files']);

/** Reads only the six fields that matter, looking at each line's first characters; text[end] ends the last line. */
function parseStanza(text: string, start: number, end: number): Stanza | StanzaProblem {
  let name = '';
  let arch = '';
  let version = '';
  let source = '';
  let status = '';
  let maintainer = '';
  let line = start;
  while (line < end) {
    let lineEnd = text.indexOf('\n', line);
    if (lineEnd > end || lineEnd < 0) lineEnd = end;
    const first = text.charCodeAt(line);
    // A line that goes on with the field before starts with a space or tab.
    if (first !== 32 && first !== 9) {
      const colon = text.indexOf(':', line);
      if (colon <= line || colon >= lineEnd) {
        return { at: line, problem: 'dpkg status holds a line that is no field' };
      }
      switch (colon - line) {
        case 6:
          if (text.startsWith('Status', line)) status = text.slice(colon + 1, lineEnd).trim();
          else if (text.startsWith('Source', line)) source = text.slice(colon + 1, lineEnd).trim();
          break;
        case 7:
          if (text.startsWith('Package', line)) {
            if (name !== '') return { at: line, problem: `dpkg status runs ${name} into another package` };
            name = text.slice(colon + 1, lineEnd).trim();
          } else if (text.startsWith('Version', line)) version = text.slice(colon + 1, lineEnd).trim();
          break;
        case 10:
          if (text.startsWith('Maintainer', line)) maintainer = text.slice(colon + 1, lineEnd).trim();
          break;
        case 12:
          if (text.startsWith('Architecture', line)) arch = text.slice(colon + 1, lineEnd).trim();
          break;
        default:
      }
    }
    line = lineEnd + 1;
  }
  if (name === '') return { at: start, problem: 'dpkg status holds a package without a name' };
  const [want, flag, state, ...more] = status.split(' ');
  if (
    want === undefined ||
    !wants.has(want) ||
    flag === undefined ||
    state === undefined ||
    more.length > 0
  ) {
    return { at: start, problem: `dpkg status gives ${name} no status that dpkg knows` };
  }
  if (statesWithCode.has(state)) {
    if (version === '' || arch === '') {
      return {
        at: start,
        problem: `dpkg status gives ${name} no ${version === '' ? 'version' : 'architecture'}`,
      };
    }
  } else if (!statesWithoutCode.has(state)) {
    return { at: start, problem: `dpkg status gives ${name} no status that dpkg knows` };
  }
  const from = parseSourceField(source, name, version);
  return {
    name,
    arch,
    version,
    source: from.source,
    sourceVersion: from.source_version,
    maintainer,
    want,
    state,
  };
}

/**
 * The `Source:` field: absent when source and binary package have the same name and version, `curl` when only the name
 * differs, `curl (7.88.1-10)` when the version does too (binary rebuilds).
 */
export function parseSourceField(
  field: string,
  name: string,
  version: string,
): { source: string; source_version: string } {
  if (field === '') return { source: name, source_version: version };
  const open = field.indexOf('(');
  if (open < 0) return { source: field, source_version: version };
  const close = field.indexOf(')', open);
  const inner = field.slice(open + 1, close < 0 ? undefined : close).trim();
  return { source: field.slice(0, open).trim(), source_version: inner === '' ? version : inner };
}

function refuse(text: string, at: number, code: DpkgStatusRefusalCode, problem: string): DpkgStatusRefusal {
  let line = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < at; i = text.indexOf('\n', i + 1)) line++;
  return {
    ok: false,
    code,
    message: `${problem} (line ${String(line)})`,
    what_to_do: whatToDo,
    line,
  };
}
