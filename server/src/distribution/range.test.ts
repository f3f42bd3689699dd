import { describe, expect, test } from 'vitest';
import { answerTo, rangeValidator, readContentRange } from './range.ts';

const file = { etag: '"a"', lastModified: 'Mon, 02 Mar 2026 10:00:00 GMT' };
const ask = (range: string, ifRange?: string, bytes = 1000, method = 'GET', about: typeof file = file) => {
  const answering = answerTo({ method, range, ifRange }, about, bytes);
  return answering.kind === 'part' ? [answering.start, answering.end] : answering.kind;
};

describe('ranges (RFC 9110, 14)', () => {
  test('first and last, open, and suffix', () => {
    expect(ask('bytes=0-0')).toEqual([0, 1]);
    expect(ask('bytes=100-199')).toEqual([100, 200]);
    expect(ask('bytes=999-')).toEqual([999, 1000]);
    expect(ask('bytes=990-5000')).toEqual([990, 1000]);
    expect(ask('bytes=-100')).toEqual([900, 1000]);
    expect(ask('bytes=-5000')).toEqual([0, 1000]);
    expect(ask(' Bytes = 1-2 ')).toEqual([1, 3]);
  });
  test('what lies outside is unsatisfiable; what cannot be read, several, and other units mean the whole', () => {
    expect(['bytes=1000-', 'bytes=1000-2000', 'bytes=-0'].map((range) => ask(range))).toEqual(
      Array(3).fill('unsatisfiable'),
    );
    expect(ask('bytes=-1', undefined, 0)).toBe('unsatisfiable');
    expect(
      ['bytes=5-4', 'bytes=-', 'bytes=0-1,5-6', 'lines=1-2', 'bytes=x', 'bytes=1-2-3'].map((range) =>
        ask(range),
      ),
    ).toEqual(Array(6).fill('whole'));
    expect(ask('bytes=0-1', undefined, 1000, 'HEAD')).toBe('whole');
  });
  test('If-Range holds by a strong mark or the very time, and else the whole is sent', () => {
    expect(ask('bytes=1-2', '"a"')).toEqual([1, 3]);
    expect(ask('bytes=1-2', file.lastModified)).toEqual([1, 3]);
    expect(ask('bytes=1-2', '"b"')).toBe('whole');
    expect(ask('bytes=1-2', 'Mon, 02 Mar 2026 11:00:00 GMT')).toBe('whole');
    expect(ask('bytes=1-2', 'W/"a"', 1000, 'GET', { ...file, etag: 'W/"a"' })).toBe('whole');
  });
});

test('conditions come before ranges, and a mark before a time', () => {
  const condition = { method: 'GET', range: 'bytes=0-1' };
  expect(answerTo({ ...condition, ifNoneMatch: '"x", W/"a"' }, file, 10).kind).toBe('not_modified');
  expect(answerTo({ ...condition, ifNoneMatch: '*' }, file, 10).kind).toBe('not_modified');
  expect(answerTo({ ...condition, ifModifiedSince: file.lastModified }, file, 10).kind).toBe('not_modified');
  expect(
    answerTo({ ...condition, ifNoneMatch: '"x"', ifModifiedSince: file.lastModified }, file, 10).kind,
  ).toBe('part');
});

test('what comes of a repository is read strictly', () => {
  expect(readContentRange('bytes 5-9/10')).toEqual({ start: 5, bytes: 10 });
  expect(readContentRange('bytes 5-9/*')).toEqual({ start: 5, bytes: null });
  expect([undefined, 'bytes */10', 'bytes 5-9', 'lines 1-2/3'].map(readContentRange)).toEqual(
    Array(4).fill(null),
  );
  expect(rangeValidator({ etag: 'W/"a"', lastModified: null })).toBeNull();
  expect(rangeValidator({ etag: 'W/"a"', lastModified: file.lastModified })).toBe(file.lastModified);
});
