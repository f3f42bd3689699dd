import { modprobeFolders, sysctlFolders, sysctlMainFile, type HostState } from './host-state.ts';

/** The small grammars of the files that mitigations read and write. Pure text in, text or values out. */

/** First line of every file that a mitigation writes for itself. */
export function ownerMark(id: string): string {
  return `# fixpoint mitigation ${id}`;
}

export function isOwnFile(id: string, text: string): boolean {
  return text.startsWith(`${ownerMark(id)}\n`);
}

export function ownText(id: string, lines: readonly string[]): string {
  return `${ownerMark(id)}\n# Written by the fixpoint agent; undo it there. Changes made here are reported, and keep it from being undone.\n${lines.join('\n')}\n`;
}

/** The files of some folders in the order in which they are read: by name, and of one name only the most important. */
export function orderedFiles(state: Pick<HostState, 'files'>, folders: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const folder of folders) {
    for (const [path, text] of Object.entries(state.files)) {
      const name = path.slice(folder.length + 1);
      if (text === null || !path.startsWith(`${folder}/`) || name.includes('/')) continue;
      if (name.endsWith('.conf') && !byName.has(name)) byName.set(name, path);
    }
  }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

export interface Assigned {
  readonly path: string;
  readonly value: string;
}

/**
 * What the files say about a kernel parameter, in the order of reading; the last one counts (sysctl.d(5)). /etc/sysctl.conf
 * comes last: `sysctl --system` and OpenRC read it then, and where systemd does not read it at all it changes nothing.
 */
export function sysctlAssignments(state: Pick<HostState, 'files'>, key: string): Assigned[] {
  const assigned: Assigned[] = [];
  for (const path of [...orderedFiles(state, sysctlFolders), sysctlMainFile]) {
    for (const line of (state.files[path] ?? '').split('\n')) {
      const match = /^\s*-?\s*([^#;=\s][^=\s]*)\s*=\s*(.*?)\s*$/u.exec(line);
      if (match !== null && sysctlName(match[1] ?? '') === key) {
        assigned.push({ path, value: sameSpaces(match[2] ?? '') });
      }
    }
  }
  return assigned;
}

/** Keys may be written with slashes. One with a slash first uses them as separators, and dots in names as they are. */
function sysctlName(text: string): string {
  const separator = /[./]/u.exec(text)?.[0];
  return separator === '/' ? text.replaceAll('.', '\0').replaceAll('/', '.').replaceAll('\0', '/') : text;
}

export function sameSpaces(text: string): string {
  return text.trim().split(/\s+/u).join(' ');
}

/** Modules are named with - or _ alike. */
const moduleKey = (name: string): string => name.replaceAll('-', '_');

/** What is run in place of loading a module: the first `install` line for it counts, as in kmod. Null when there is none. */
export function installCommand(state: Pick<HostState, 'files'>, module: string): Assigned | null {
  for (const path of orderedFiles(state, modprobeFolders)) {
    for (const line of joinedLines(state.files[path] ?? '')) {
      const match = /^\s*install\s+(\S+)\s+(.*?)\s*$/u.exec(line);
      if (match !== null && matchesPattern(moduleKey(module), moduleKey(match[1] ?? ''))) {
        return { path, value: match[2] ?? '' };
      }
    }
  }
  return null;
}

/** Whether such a command loads nothing. */
export function refusesToLoad(command: string): boolean {
  return /^(?:\/usr)?\/bin\/(?:false|true)$/u.test(command);
}

function joinedLines(text: string): string[] {
  return text.replaceAll('\\\n', ' ').split('\n');
}

/**
 * Glob with * and ?, as in fnmatch and in the algorithm lists of sshd. In time of one length times the other at most: patterns
 * come in orders.
 */
export function matchesPattern(text: string, pattern: string): boolean {
  let [t, p] = [0, 0];
  /** Where to go on when what follows the last star does not fit here. */
  let back: { text: number; readonly pattern: number } | null = null;
  while (t < text.length) {
    if (pattern[p] === '*') back = { text: t, pattern: ++p };
    else if (pattern[p] === '?' || pattern[p] === text[t]) {
      t++;
      p++;
    } else if (back !== null) {
      t = ++back.text;
      p = back.pattern;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

/** Parses `sshd -T`: `keyword value` lines, keywords in lower case. Of repeated ones the first. */
export function parseSshd(text: string): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^([a-z0-9]+) (.*)$/u.exec(line.trim());
    const key = match?.[1];
    if (key !== undefined && settings[key] === undefined) settings[key] = match?.[2] ?? '';
  }
  return settings;
}

/** What remains of a list of algorithms without those that the removal `-a,b*` names. */
export function withoutAlgorithms(list: string, removal: string): string[] {
  const patterns = removal.slice(1).split(',');
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && !patterns.some((pattern) => matchesPattern(name, pattern)));
}

/** Whether sshd_config reads its drop-in folder before anything that it says itself: the first value counts. */
export function includesFolder(text: string, folder: string): boolean {
  for (const line of text.split('\n')) {
    if (/^\s*(?:#.*)?$/u.test(line)) continue;
    const include = /^\s*include\s+(.*?)\s*$/iu.exec(line);
    if (include === null) return false;
    const patterns = new Set((include[1] ?? '').split(/\s+/u).map((word) => word.replaceAll('"', '')));
    if (patterns.has(`${folder}/*.conf`) || patterns.has(`${folder.slice('/etc/ssh/'.length)}/*.conf`)) {
      return true;
    }
  }
  return false;
}

export interface IniValue {
  readonly value: string;
  /** Whether another file is read after it, which may say something else. */
  readonly followed_by_include: boolean;
}

const iniKey = (text: string): string => text.toLowerCase().replaceAll(/\s+/gu, '');

/** The value in effect in an INI file: the last of its section. Sections and keys as Samba reads them, in any case and spacing. */
export function iniValue(text: string, section: string, key: string): IniValue | null {
  let current: string | null = null;
  let found: string | null = null;
  let followed = false;
  for (const line of joinedLines(text)) {
    const header = /^\s*\[([^\]]*)\]\s*$/u.exec(line);
    if (header !== null) {
      current = (header[1] ?? '').trim().toLowerCase();
      continue;
    }
    const match = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/u.exec(line);
    if (match === null || current !== section) continue;
    const name = iniKey(match[1] ?? '');
    if (name === iniKey(key)) {
      found = match[2] ?? '';
      followed = false;
    } else if (name === 'include' || name === 'configfile') followed = true;
  }
  return found === null ? null : { value: found, followed_by_include: followed };
}

const blockStart = (id: string): string => `${ownerMark(id)}: begin`;
const blockEnd = (id: string): string => `${ownerMark(id)}: end`;

/** Sets keys at the end of a section, between two marks. A section that is not there is added at the end. */
export function withIniBlock(
  text: string,
  id: string,
  section: string,
  settings: readonly { readonly key: string; readonly value: string }[],
): string {
  const lines = withoutIniBlock(text, id).split('\n');
  if (lines.at(-1) === '') lines.pop();
  const block = [blockStart(id), ...settings.map(({ key, value }) => `${key} = ${value}`), blockEnd(id)];
  const headers = lines.flatMap((line, index) => {
    const match = /^\s*\[([^\]]*)\]\s*$/u.exec(line);
    return match === null ? [] : [{ index, name: (match[1] ?? '').trim().toLowerCase() }];
  });
  const last = headers.findLastIndex((header) => header.name === section);
  if (last < 0) lines.push(`[${section}]`, ...block);
  else lines.splice(headers[last + 1]?.index ?? lines.length, 0, ...block);
  return `${lines.join('\n')}\n`;
}

/** The text without the block of a mitigation. */
export function withoutIniBlock(text: string, id: string): string {
  const lines = text.split('\n');
  const start = lines.indexOf(blockStart(id));
  const end = lines.indexOf(blockEnd(id), start);
  if (start < 0 || end < 0) return text;
  lines.splice(start, end - start + 1);
  return lines.join('\n');
}

export interface RegistryValue {
  readonly type: string;
  /** Decimal for REG_DWORD. */
  readonly value: string;
}

/** Parses `reg query KEY /v NAME`: the line `    NAME    REG_DWORD    0x1`. Null when the output names no such value. */
export function parseRegQuery(output: string, name: string): RegistryValue | null {
  for (const line of output.split(/\r?\n/u)) {
    const match = /^ {4}(.+?) {4}(REG_[A-Z_]+)(?: {4}(.*))?$/u.exec(line);
    if (match?.[1]?.toLowerCase() !== name.toLowerCase()) continue;
    const [type, data] = [match[2] ?? '', match[3] ?? ''];
    return { type, value: type === 'REG_DWORD' ? String(Number(data)) : data };
  }
  return null;
}
