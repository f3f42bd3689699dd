import type { InstalledPackage } from './inventory.ts';
import { windowsProduct, type WindowsArchitecture } from './windows-products.ts';

/**
 * What a Windows host is, read from the recorded output of its own tools: `systeminfo`, `wmic qfe list` (or `Get-HotFix`),
 * and `reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"`. All of them but the last are written in the language
 * of the host, so a line is known by its place and by what stands in its value, never by its label.
 */

export interface SystemInfo {
  /** As printed: `Microsoft Windows 10 Enterprise`. */
  readonly name: string;
  /** Of the kernel: `10.0.17763`. systeminfo never prints the last number. */
  readonly version: string;
  readonly servicePack: number;
  /** Null when the line is missing, or names one that is not known. */
  readonly architecture: WindowsArchitecture | null;
  /** Ids of the installed updates, sorted, each once: `KB4486553`. */
  readonly updates: readonly string[];
  /**
   * Whether they are all that are installed. systeminfo cuts long lists off without a word: it prints "271 Hotfix(s)
   * Installed." and 245 of them.
   */
  readonly updatesComplete: boolean;
}

export interface WindowsRefusal {
  readonly ok: false;
  readonly code: 'systeminfo_unreadable' | 'registry_unreadable' | 'update_list_unreadable';
  readonly message: string;
  readonly what_to_do: string;
}

export type SystemInfoParse = { readonly ok: true; readonly info: SystemInfo } | WindowsRefusal;

/**
 * Text of a console's output, whose encoding nothing says: UTF-16 with a mark (PowerShell, wmic), UTF-16 without one behind
 * a line of ASCII (wmic on XP), UTF-8, or the code page of the host, of which only the ASCII is certain and needed.
 */
export function consoleText(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  let zeros = 0;
  for (const byte of bytes) if (byte === 0) zeros++;
  if (zeros * 4 > bytes.length) return new TextDecoder('latin1').decode(bytes.filter((byte) => byte !== 0));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('latin1').decode(bytes);
  }
}

const versionPattern = /^(\d{1,2}\.\d{1,2})\.(\d{4,6})\b(.*?)\b(\d{4,6})$/u;

/** Reads the output of `systeminfo` (the list form, which is its default). */
export function parseSystemInfo(text: string): SystemInfoParse {
  const lines = text.split(/\r\n|\r|\n/u);
  let name: string | null = null;
  let version: string | null = null;
  let servicePack = 0;
  let architecture: WindowsArchitecture | null = null;
  let announced: number | null = null;
  let listed = 0;
  const updates = new Set<string>();
  /** The list that a line like `Hotfix(s): 5 Hotfix(s) Installed.` opens; items of other lists look the same. */
  let open: { readonly announced: number; count: number; isUpdates: boolean } | null = null;
  for (const line of lines) {
    const item = /^\s+\[(\d+)\]: *(.*?)\s*$/u.exec(line);
    if (item !== null && open !== null) {
      open.count++;
      const kb = updateId(item[2] ?? '');
      if (kb !== null || /^File \d+$/iu.test(item[2] ?? '')) open.isUpdates = true;
      if (kb !== null) updates.add(kb);
      if (open.isUpdates) {
        ({ announced } = open);
        listed = open.count;
      }
      continue;
    }
    const field = /^(\S.*?): +(\S.*?)\s*$/u.exec(line);
    if (field === null) continue;
    const value = (field[2] ?? '').replaceAll(/\s/gu, ' ');
    const matched: RegExpExecArray | null = version === null ? versionPattern.exec(value) : null;
    if (matched !== null && matched[2] === matched[4]) {
      version = `${matched[1] ?? ''}.${matched[2] ?? ''}`;
      servicePack = Number(/Service Pack (\d)/u.exec(matched[3] ?? '')?.[1] ?? 0);
    } else if (name === null && version === null && /Windows/u.test(value)) name = value;
    const type = /^(x64|x86|arm64|ia64|itanium)\b.*-based PC$|^(x64|x86|arm64|ia64|itanium)-based/iu.exec(
      value,
    );
    if (architecture === null && type !== null) architecture = architectureOf(type[1] ?? type[2] ?? '');
    const count = /(?:^|\D)(\d{1,4})(?:\D|$)/u.exec(value);
    open = count === null ? null : { announced: Number(count[1]), count: 0, isUpdates: false };
  }
  if (name === null || version === null) {
    return {
      ok: false,
      code: 'systeminfo_unreadable',
      message: `the text has no line with the ${name === null ? 'name' : 'version'} of a Windows system`,
      what_to_do: 'Record the output of `systeminfo` as it is, without /fo csv, from its first line on.',
    };
  }
  return {
    ok: true,
    info: {
      name,
      version,
      servicePack,
      architecture,
      updates: [...updates].sort(),
      updatesComplete: announced !== null && listed >= announced,
    },
  };
}

function architectureOf(word: string): WindowsArchitecture {
  const known: Readonly<Record<string, WindowsArchitecture>> = {
    x64: 'x64',
    x86: 'x86',
    arm64: 'arm64',
    ia64: 'ia64',
    itanium: 'ia64',
  };
  return known[word.toLowerCase()] ?? 'x64';
}

/** `KB4486553`, `Q147222` (before 2003), `943729` and `KB893803v2 - Update` as `KB…`; null for what is no update. */
function updateId(text: string): string | null {
  const match = /^(?:KB|Q)?(\d{6,8})(?:v\d+)?(?: - .*)?$/iu.exec(text.trim());
  return match === null ? null : `KB${match[1] ?? ''}`;
}

/**
 * Reads the list of `wmic qfe list` or of PowerShell's `Get-HotFix`: every word of the form `KB4486553`. Refuses a text that
 * is no such list, since "nothing is installed" would be read from it.
 */
export function parseUpdateList(
  text: string,
): { readonly ok: true; readonly updates: readonly string[] } | WindowsRefusal {
  if (!/HotFixID/iu.test(text)) {
    return {
      ok: false,
      code: 'update_list_unreadable',
      message: 'the text has no column HotFixID',
      what_to_do: 'Record the output of `wmic qfe list` or of `Get-HotFix`, with its headings.',
    };
  }
  const ids = text.matchAll(/(?<![\w?=/])(?:KB|Q)(\d{6,8})(?!\d)/giu);
  return { ok: true, updates: [...new Set([...ids].map((match) => `KB${match[1] ?? ''}`))].sort() };
}

export interface WindowsRegistry {
  /** `10.0.17763.6054`; without its last number when there is no UBR. */
  readonly build: string;
  readonly serverCore: boolean;
}

/** Reads `reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"`: `    UBR    REG_DWORD    0x17a6`. */
export function parseRegistry(
  text: string,
): { readonly ok: true; readonly registry: WindowsRegistry } | WindowsRefusal {
  const values = new Map<string, string>();
  for (const line of text.split(/\r\n|\r|\n/u)) {
    const match = /^\s+(\S.*?)\s+REG_(?:SZ|DWORD)\s+(\S.*?)\s*$/u.exec(line);
    if (match !== null) values.set(match[1] ?? '', match[2] ?? '');
  }
  const number = (name: string): number | null => {
    const value = values.get(name) ?? '';
    return /^(?:0x[0-9a-f]+|\d+)$/iu.test(value) ? Number(value) : null;
  };
  const major = number('CurrentMajorVersionNumber');
  const minor = number('CurrentMinorVersionNumber');
  // Windows 10 and later leave CurrentVersion at 6.3 for old programs.
  const kernel = major !== null && minor !== null ? `${major}.${minor}` : values.get('CurrentVersion');
  const build = values.get('CurrentBuildNumber') ?? values.get('CurrentBuild');
  if (
    kernel === undefined ||
    build === undefined ||
    !/^\d+\.\d+$/u.test(kernel) ||
    !/^\d{4,6}$/u.test(build)
  ) {
    return {
      ok: false,
      code: 'registry_unreadable',
      message: 'the text has no CurrentBuildNumber, or no version to go with it',
      what_to_do: 'Record the output of `reg query "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"`.',
    };
  }
  const revision = number('UBR');
  return {
    ok: true,
    registry: {
      build: `${kernel}.${build}${revision === null ? '' : `.${String(revision)}`}`,
      serverCore: values.get('InstallationType') === 'Server Core',
    },
  };
}

/**
 * The Windows of a host as an installed package: its name is the product as MSRC names it, its version the build. What
 * MSRC has no name for goes by the name that the host prints, which no statement is about, so that it is undetermined.
 *
 * `updates` is there only when a complete list is known: an incomplete one would read as "not installed".
 *
 * @param registry of the same host, if it was recorded: it alone tells the whole build
 * @param updateList of the same host, if it was recorded
 */
export function windowsPackages(
  info: SystemInfo,
  registry: WindowsRegistry | null = null,
  updateList: readonly string[] | null = null,
): InstalledPackage[] {
  const { architecture } = info;
  const name = windowsProduct({ ...info, serverCore: registry?.serverCore === true }) ?? info.name;
  const sameSystem =
    registry?.build === info.version || registry?.build.startsWith(`${info.version}.`) === true;
  const version = registry !== null && sameSystem ? registry.build : info.version;
  const complete = info.updatesComplete || updateList !== null;
  const updates = [...new Set([...info.updates, ...(updateList ?? [])])].sort();
  return [
    {
      name,
      arch: architecture ?? '',
      version,
      source: name,
      source_version: version,
      ...(complete ? { updates } : {}),
    },
  ];
}
