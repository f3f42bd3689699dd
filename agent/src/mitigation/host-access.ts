import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import type { HostNeeds, HostState, ModuleState } from '@fixpoint/core/mitigation/host-state.ts';
import { parseSshd } from '@fixpoint/core/mitigation/config-text.ts';
import { codeOf } from '../failure.ts';
import { runCommand } from '../run-command.ts';
import { readTextIfThere, syncFolder } from '../state-dir.ts';

/** The files, parameters, modules and services of this host, as far as mitigations read and change them. */

export interface FileBefore {
  readonly text: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const fileBytesMaximum = 1024 * 1024;
const filesInFolderMaximum = 500;

/** @param root the host's own `/`; tests have another */
export interface HostAccess {
  readonly root: string;
  readonly run: typeof runCommand;
}

export const thisHost: HostAccess = { root: '/', run: runCommand };

/** A file as it is; null when there is none. Throws for what is no plain file: neither a link nor a device is followed. */
export function readFileBefore(host: HostAccess, path: string): FileBefore | null {
  const real = join(host.root, path);
  const stat = lstatSync(real, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isFile() || stat.size > fileBytesMaximum)
    throw new Error(`${path} is no plain file of a sensible size`);
  return { text: utf8(readFileSync(real), path), mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

/** Text that can be written back as it was. */
function utf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new Error(`${path} is not in UTF-8, so it could not be written back as it is`, { cause: error });
  }
}

/** Replaces a file so that after a power cut it is whole or as before. */
export function replaceFile(host: HostAccess, path: string, file: FileBefore): void {
  const real = join(host.root, path);
  const temporary = `${real}.fixpoint-tmp`;
  rmSync(temporary, { force: true });
  const descriptor = openSync(temporary, 'wx', 0o600);
  try {
    // All or an error: of a full disk, writeSync would tell by its result only, and half a file would be put in place.
    writeFileSync(descriptor, file.text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  const own = lstatSync(temporary);
  if (own.uid !== file.uid || own.gid !== file.gid) chownSync(temporary, file.uid, file.gid);
  chmodSync(temporary, file.mode);
  renameSync(temporary, real);
  syncFolder(dirname(real));
}

export function removeFile(host: HostAccess, path: string): void {
  const real = join(host.root, path);
  rmSync(`${real}.fixpoint-tmp`, { force: true });
  rmSync(real, { force: true });
  if (existsSync(dirname(real))) syncFolder(dirname(real));
}

export function folderExists(host: HostAccess, path: string): boolean {
  return existsSync(join(host.root, path));
}

export function makeFolder(host: HostAccess, path: string): void {
  mkdirSync(join(host.root, path), { recursive: true, mode: 0o755 });
}

/** Removes a folder that we made, unless somebody put something into it. */
export function removeFolderIfEmpty(host: HostAccess, path: string): void {
  try {
    rmdirSync(join(host.root, path));
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw error;
  }
}

function sysctlPath(host: HostAccess, key: string): string {
  return join(host.root, 'proc/sys', key.replaceAll('.', '/'));
}

export function readSysctl(host: HostAccess, key: string): string | null {
  return readTextIfThere(sysctlPath(host, key))?.trim() ?? null;
}

/** Throws when the kernel refuses. */
export function writeSysctl(host: HostAccess, key: string, value: string): void {
  const file = openSync(sysctlPath(host, key), constants.O_WRONLY | constants.O_TRUNC);
  try {
    writeSync(file, `${value}\n`);
  } finally {
    closeSync(file);
  }
}

/** Names in /proc/modules have underscores; the third column counts users, `-` where modules cannot be unloaded. */
export function parseModules(text: string): Map<string, { inUse: boolean }> {
  const modules = new Map<string, { inUse: boolean }>();
  for (const line of text.split('\n')) {
    const [name, , users] = line.split(' ');
    if (name !== undefined && name !== '') modules.set(name, { inUse: users !== '0' });
  }
  return modules;
}

/** Names of what is built in, from modules.builtin (`kernel/net/dccp/dccp.ko`). */
function parseBuiltin(text: string): Set<string> {
  return new Set(
    text.split('\n').flatMap((line) => {
      const name = /([^/]+)\.ko$/u.exec(line.trim())?.[1];
      return name === undefined ? [] : [name.replaceAll('-', '_')];
    }),
  );
}

/** Looks at everything that is needed. No configuration is changed. */
export async function observe(host: HostAccess, needs: HostNeeds): Promise<HostState> {
  const files: Record<string, string | null> = {};
  for (const folder of needs.folders) {
    for (const name of namesIn(host, folder)) {
      files[`${folder}/${name}`] = readBounded(host, `${folder}/${name}`);
    }
  }
  for (const path of needs.files) files[path] = readBounded(host, path);
  const modules: Record<string, ModuleState> = {};
  if (needs.modules.length > 0) {
    const loaded = parseModules(readTextIfThere(join(host.root, 'proc/modules')) ?? '');
    const builtin = parseBuiltin(
      readTextIfThere(join(host.root, 'lib/modules', release(), 'modules.builtin')) ?? '',
    );
    for (const name of needs.modules) {
      const now = loaded.get(name);
      modules[name] = { loaded: now !== undefined, in_use: now?.inUse === true, builtin: builtin.has(name) };
    }
  }
  const units: Record<string, Record<string, string> | null> = {};
  for (const { unit, properties } of needs.units) {
    const answer = await showUnit(host, unit, properties);
    units[unit] = answer === null || answer['LoadState'] === 'not-found' ? null : answer;
  }
  const sshd = needs.sshd ? await askSshd(host) : null;
  return {
    files,
    sysctl: Object.fromEntries(needs.sysctl.map((key) => [key, readSysctl(host, key)])),
    modules,
    sshd: typeof sshd === 'string' ? null : sshd,
    sshd_problem: typeof sshd === 'string' ? sshd : null,
    units,
  };
}

function namesIn(host: HostAccess, folder: string): string[] {
  try {
    return readdirSync(join(host.root, folder))
      .filter((name) => name.endsWith('.conf'))
      .slice(0, filesInFolderMaximum);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** Configuration may be a link: /etc/sysctl.d/99-sysctl.conf is one. Null when it leads nowhere. */
function readBounded(host: HostAccess, path: string): string | null {
  const text = readTextIfThere(join(host.root, path));
  return text === null ? null : text.slice(0, fileBytesMaximum);
}

/** The settings in effect, or why there are none. */
async function askSshd(host: HostAccess): Promise<Record<string, string> | string> {
  // sshd wants the folder of its privilege separation, which the service makes when it starts.
  if (host.root === '/' && existsSync('/run') && !existsSync('/run/sshd'))
    mkdirSync('/run/sshd', { mode: 0o755 });
  const answer = await host.run(['sshd', '-T'], { timeoutSeconds: 20 });
  if (answer.ok) return parseSshd(answer.stdout);
  return answer.code === 'command_missing' ? 'sshd is not installed' : answer.message.slice(0, 300);
}

/** Properties of a unit by `systemctl show`; null where systemd does not answer. */
export async function showUnit(
  host: HostAccess,
  unit: string,
  properties: readonly string[],
): Promise<Record<string, string> | null> {
  const wanted = ['LoadState', 'ActiveState', ...properties].join(',');
  const answer = await host.run(['systemctl', 'show', `--property=${wanted}`, '--', unit], {
    timeoutSeconds: 20,
  });
  if (!answer.ok) return null;
  return Object.fromEntries(
    answer.stdout.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
}
