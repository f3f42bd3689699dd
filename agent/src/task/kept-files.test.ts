import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAsKept, keepFile, putFileBack, saveBeside } from './kept-files.ts';

let dir: string;
let contents: string;
let path: string;
const isRoot = process.getuid?.() === 0;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-kept-files-'));
  contents = join(dir, 'contents');
  mkdirSync(contents);
  path = join(dir, 'a.conf');
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** What is there now, kept. */
function kept(): NonNullable<ReturnType<typeof keepFile>> {
  const file = keepFile(path, contents);
  if (file === null) throw new Error('it could not be kept');
  return file;
}

describe('a configuration file', () => {
  test('comes back with content, permissions, owner and time', () => {
    writeFileSync(path, Buffer.from([0, 255, 10, 13]));
    chmodSync(path, 0o640);
    if (isRoot) chownSync(path, 33, 4);
    utimesSync(path, 1_000, 2_000);
    const file = kept();
    const before = lstatSync(path);

    writeFileSync(path, 'of the new version');
    chmodSync(path, 0o777);
    if (isRoot) chownSync(path, 0, 0);
    expect(isAsKept(file)).toBe(false);
    expect(putFileBack(file, contents)).toBe(true);

    expect(readFileSync(path)).toEqual(Buffer.from([0, 255, 10, 13]));
    const { mode, uid, gid, mtimeMs } = lstatSync(path);
    expect([mode, uid, gid, mtimeMs]).toEqual([before.mode, before.uid, before.gid, 2_000_000]);
    // What is right already is not touched again.
    expect(putFileBack(file, contents)).toBe(false);
  });

  test('of which only permissions or owner differ is put back too', () => {
    writeFileSync(path, 'x');
    chmodSync(path, 0o600);
    const file = kept();
    chmodSync(path, 0o644);
    expect(putFileBack(file, contents)).toBe(true);
    expect(lstatSync(path).mode & 0o7777).toBe(0o600);
  });

  test('that was removed comes back, with its folder', () => {
    path = join(dir, 'd', 'a.conf');
    mkdirSync(join(dir, 'd'));
    writeFileSync(path, 'x');
    const file = kept();
    rmSync(join(dir, 'd'), { recursive: true });
    expect(putFileBack(file, contents)).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe('x');
  });

  test('that was not there goes again', () => {
    const file = kept();
    expect(file.kind).toBe('absent');
    expect(putFileBack(file, contents)).toBe(false);
    writeFileSync(path, 'new');
    expect(putFileBack(file, contents)).toBe(true);
    expect(existsSync(path)).toBe(false);
  });

  test('that was a link is a link again, and what it leads to is not touched', () => {
    const target = join(dir, 'target');
    writeFileSync(target, 'of somebody else');
    symlinkSync('target', path);
    const file = kept();
    rmSync(path);
    writeFileSync(path, 'now a file');
    expect(putFileBack(file, contents)).toBe(true);
    expect(readlinkSync(path)).toBe('target');
    expect(readFileSync(target, 'utf8')).toBe('of somebody else');
  });

  test('that has become a link is replaced, and what the link leads to is not written to', () => {
    writeFileSync(path, 'x');
    const file = kept();
    const target = join(dir, 'target');
    writeFileSync(target, 'precious');
    rmSync(path);
    symlinkSync(target, path);
    // Nor what lies where the new file is written first.
    symlinkSync(target, `${path}.fixpoint-part`);
    expect(putFileBack(file, contents)).toBe(true);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(readFileSync(path, 'utf8')).toBe('x');
    expect(readFileSync(target, 'utf8')).toBe('precious');
  });

  test('whose kept content is damaged, or that is a folder now, is refused', () => {
    writeFileSync(path, 'x');
    const file = kept();
    if (file.kind !== 'file') throw new Error('it is a file');
    writeFileSync(join(contents, file.sha256), 'y');
    writeFileSync(path, 'z');
    expect(() => putFileBack(file, contents)).toThrow('damaged');
    expect(readFileSync(path, 'utf8')).toBe('z');
    rmSync(path);
    mkdirSync(path);
    expect(() => putFileBack(file, contents)).toThrow('folder');
    // Nor can a folder be kept.
    expect(keepFile(path, contents)).toBe(null);
  });

  test('is kept anew where what was kept before is damaged', () => {
    writeFileSync(path, 'x');
    const file = kept();
    if (file.kind !== 'file') throw new Error('it is a file');
    writeFileSync(join(contents, file.sha256), 'torn');
    kept();
    expect(readFileSync(join(contents, file.sha256), 'utf8')).toBe('x');
    expect(lstatSync(join(contents, file.sha256)).mode & 0o777).toBe(0o600);
  });

  test('that somebody changed is saved beside, as it is', () => {
    writeFileSync(path, 'by hand');
    chmodSync(path, 0o600);
    saveBeside(path);
    expect(readFileSync(`${path}.fixpoint-new`, 'utf8')).toBe('by hand');
    expect(lstatSync(`${path}.fixpoint-new`).mode & 0o777).toBe(0o600);
    rmSync(path);
    saveBeside(path);
    expect(readFileSync(`${path}.fixpoint-new`, 'utf8')).toBe('by hand');
  });
});
