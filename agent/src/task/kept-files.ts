import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256OfFile } from '../file-digest.ts';
import { syncFolder } from '../state-dir.ts';
import type { KeptFile } from './kept.ts';

/**
 * Configuration files as they are, and as they were: content, permissions, owner and times, a symbolic link as such. Folders
 * of configuration may belong to others than root, so no name is followed or trusted twice: what is read and what is written
 * is changed by its descriptor.
 */

/** What somebody wrote after the task, and would be lost, is kept beside the file under its name and this. */
export const besideSuffix = '.fixpoint-new';
const partSuffix = '.fixpoint-part';
/** No configuration file; one that is larger is not kept, and said to be missing. */
const bytesMaximum = 16 * 1024 * 1024;

interface Present {
  readonly file: KeptFile;
  /** Of a plain file. */
  readonly content: Buffer | null;
}

/** What a path is now; null when it is nothing that can be kept (a folder, a device, too large). */
function look(path: string): Present | null {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return { file: { path, kind: 'absent' }, content: null };
  if (stats.isSymbolicLink()) {
    const { uid, gid } = stats;
    return { file: { path, kind: 'symlink', target: readlinkSync(path), uid, gid }, content: null };
  }
  if (!stats.isFile()) return null;
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { mode, uid, gid, atimeMs, mtimeMs, size, ...rest } = fstatSync(descriptor);
    if (rest.dev !== stats.dev || rest.ino !== stats.ino || size > bytesMaximum) return null;
    const content = readFileSync(descriptor);
    return {
      file: {
        path,
        kind: 'file',
        sha256: createHash('sha256').update(content).digest('hex'),
        mode: mode & 0o7777,
        uid,
        gid,
        accessed_ms: atimeMs,
        modified_ms: mtimeMs,
      },
      content,
    };
  } finally {
    closeSync(descriptor);
  }
}

/** Takes a path into the folder of contents; durable when it returns. Null for a folder, a device, or what is too large. */
export function keepFile(path: string, contentsDir: string): KeptFile | null {
  const present = look(path);
  if (present?.file.kind === 'file' && present.content !== null) {
    const at = join(contentsDir, present.file.sha256);
    if (!existsSync(at) || sha256OfFile(at) !== present.file.sha256) {
      writeNew(`${at}${partSuffix}`, present.content, null);
      renameSync(`${at}${partSuffix}`, at);
      syncFolder(contentsDir);
    }
  }
  return present?.file ?? null;
}

/** Whether a path is as it was; times do not count. */
export function isAsKept(file: KeptFile): boolean {
  const now = look(file.path)?.file;
  if (now === undefined || now.kind !== file.kind) return false;
  if (now.kind === 'absent' || file.kind === 'absent') return true;
  if (now.uid !== file.uid || now.gid !== file.gid) return false;
  if (now.kind === 'symlink') return file.kind === 'symlink' && now.target === file.target;
  return file.kind === 'file' && now.sha256 === file.sha256 && now.mode === file.mode;
}

/** Makes a path what it was, in one step that is durable when it returns. Tells whether anything was to do. */
export function putFileBack(file: KeptFile, contentsDir: string): boolean {
  if (isAsKept(file)) return false;
  const { path } = file;
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new Error('it is a folder now');
  }
  if (file.kind === 'absent') {
    rmSync(path, { force: true });
    syncFolder(dirname(path));
    return true;
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const part = `${path}${partSuffix}`;
  if (file.kind === 'symlink') {
    rmSync(part, { force: true });
    symlinkSync(file.target, part);
    lchownSync(part, file.uid, file.gid);
  } else {
    const content = readFileSync(join(contentsDir, file.sha256));
    if (createHash('sha256').update(content).digest('hex') !== file.sha256) {
      throw new Error('what was kept of it is damaged');
    }
    writeNew(part, content, file);
  }
  renameSync(part, path);
  syncFolder(dirname(path));
  return true;
}

/** Keeps what is at a path under another name beside it, as it is; replaces what an earlier rollback left there. */
export function saveBeside(path: string): void {
  const present = look(path);
  if (present === null || present.file.kind === 'absent') return;
  const part = `${path}${partSuffix}`;
  if (present.file.kind === 'symlink') {
    rmSync(part, { force: true });
    symlinkSync(present.file.target, part);
    lchownSync(part, present.file.uid, present.file.gid);
  } else if (present.content !== null) writeNew(part, present.content, present.file);
  renameSync(part, `${path}${besideSuffix}`);
  syncFolder(dirname(path));
}

/** Writes a file that is new under its name, never through a link that lies there. */
function writeNew(path: string, content: Buffer, as: Extract<KeptFile, { kind: 'file' }> | null): void {
  rmSync(path, { force: true });
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    for (let written = 0; written < content.length;) written += writeSync(descriptor, content, written);
    if (as !== null) {
      // First the owner: a change of it takes setuid and setgid away.
      fchownSync(descriptor, as.uid, as.gid);
      fchmodSync(descriptor, as.mode);
      futimesSync(descriptor, as.accessed_ms / 1000, as.modified_ms / 1000);
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
