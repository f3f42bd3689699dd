/**
 * RPM's version order, `[epoch:]version[-release]`, as rpm does it (rpmio/rpmver.c: `rpmverParse`, `rpmverCmp`,
 * `rpmvercmp`), checked against the real rpm by a golden file and by a live test.
 *
 * A text is a version here exactly when rpm splits it into parts that a package may have, that is, which `rpmspec` accepts
 * as Epoch, Version and Release (build/parsePreamble.c): an epoch of digits up to 4294967295, a version, and a release if
 * there is a hyphen, none of them empty, of ASCII letters, digits and `. _ + % { } ~ ^` and without `..`. rpm itself goes
 * on comparing other text; we do not: the answer is `unparseable`.
 *
 * - An absent epoch is 0 (`1.0-1` equals `0:1.0-1`); so is the empty one of `:1.0-1`, as in rpm.
 * - An absent release is older than any release (`1.0` is less than `1.0-0`), as `rpmverCmp` has it. When rpm compares
 *   *dependencies*, an absent release matches every release; that is no order, and it is not what is asked here.
 */

/**
 * A version that has been checked, as positions in its own text, so that comparing neither cuts strings nor allocates.
 * Made only by {@link parseRpm}.
 */
export interface RpmVersion {
  readonly text: string;
  /** 0–4294967295; 0 when the text names none. */
  readonly epoch: number;
  readonly versionStart: number;
  readonly versionEnd: number;
  /** Where the release starts; equal to `end` when there is none. */
  readonly releaseStart: number;
  readonly end: number;
}

export type RpmRefusalCode =
  | 'version_empty'
  | 'version_invalid_character'
  | 'version_two_dots'
  | 'release_empty'
  | 'release_invalid_character'
  | 'release_two_dots'
  | 'epoch_too_big';

export interface RpmRefusal {
  readonly ok: false;
  readonly code: RpmRefusalCode;
  readonly message: string;
}

export type RpmParse = { readonly ok: true; readonly version: RpmVersion } | RpmRefusal;

const epochMaximum = 4_294_967_295;

const tilde = 126;
const caret = 94;

const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isLetter = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 65 && c <= 90);
/** `. _ + % { } ~ ^`: rpm's ALLOWED_CHARS_VERREL. */
const isMark = (c: number): boolean =>
  c === 46 || c === 95 || c === 43 || c === 37 || c === 123 || c === 125 || c === tilde || c === caret;

/** Parses and checks an RPM version, `[epoch:]version[-release]`. Nothing around it is dropped. */
export function parseRpm(text: string): RpmParse {
  const end = text.length;
  let start = 0;
  let epoch = 0;
  let digits = 0;
  while (digits < end && isDigit(text.charCodeAt(digits))) digits++;
  if (digits < end && text.charCodeAt(digits) === 58) {
    for (let i = 0; i < digits && epoch <= epochMaximum; i++) epoch = epoch * 10 + (text.charCodeAt(i) - 48);
    if (epoch > epochMaximum) return refusal('epoch_too_big', `the epoch is above ${String(epochMaximum)}`);
    start = digits + 1;
  }
  const hyphen = text.lastIndexOf('-');
  const hasRelease = hyphen >= start;
  const versionEnd = hasRelease ? hyphen : end;
  const releaseStart = hasRelease ? hyphen + 1 : end;
  if (start === versionEnd) return refusal('version_empty', 'the version is empty');
  if (hasRelease && releaseStart === end) {
    return refusal('release_empty', 'there is nothing after the last hyphen');
  }
  const version = checkPart(text, start, versionEnd);
  if (version === 'character') {
    return refusal('version_invalid_character', 'the version holds a character that is not allowed');
  }
  if (version === 'dots') return refusal('version_two_dots', 'the version holds two dots in a row');
  const release = checkPart(text, releaseStart, end);
  if (release === 'character') {
    return refusal('release_invalid_character', 'the release holds a character that is not allowed');
  }
  if (release === 'dots') return refusal('release_two_dots', 'the release holds two dots in a row');
  return { ok: true, version: { text, epoch, versionStart: start, versionEnd, releaseStart, end } };
}

function checkPart(text: string, start: number, end: number): 'fine' | 'character' | 'dots' {
  let before = 0;
  let result: 'fine' | 'dots' = 'fine';
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (!isDigit(c) && !isLetter(c) && !isMark(c)) return 'character';
    if (c === 46 && before === 46) result = 'dots';
    before = c;
  }
  return result;
}

function refusal(code: RpmRefusalCode, message: string): RpmRefusal {
  return { ok: false, code, message };
}

/** Below 0 when `a` is older than `b`, above 0 when newer, 0 when rpm holds them to be the same. Allocates nothing. */
export function compareRpm(a: RpmVersion, b: RpmVersion): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  const version = comparePart(a.text, a.versionStart, a.versionEnd, b.text, b.versionStart, b.versionEnd);
  if (version !== 0) return version;
  // A release that is there is never empty, so an empty one is an absent one.
  if (a.releaseStart === a.end || b.releaseStart === b.end) {
    return a.end - a.releaseStart - (b.end - b.releaseStart);
  }
  return comparePart(a.text, a.releaseStart, a.end, b.text, b.releaseStart, b.end);
}

/** Kinds of what may come next in a part, in their order. */
const kinds = { tilde: 0, end: 1, caret: 2, letters: 3, number: 4 } as const;

function kindAt(text: string, i: number, end: number): number {
  if (i >= end) return kinds.end;
  const c = text.charCodeAt(i);
  if (isDigit(c)) return kinds.number;
  if (c === tilde) return kinds.tilde;
  return c === caret ? kinds.caret : kinds.letters;
}

const isSeparator = (c: number): boolean => !isDigit(c) && !isLetter(c) && c !== tilde && c !== caret;

/**
 * The order of two versions or two releases, segment by segment; separators only keep segments apart. Where the next
 * segments are of different kinds the kinds decide: `~` is older than the end, then `^`, then letters, then a number.
 */
function comparePart(
  a: string,
  aStart: number,
  aEnd: number,
  b: string,
  bStart: number,
  bEnd: number,
): number {
  let i = aStart;
  let j = bStart;
  for (;;) {
    while (i < aEnd && isSeparator(a.charCodeAt(i))) i++;
    while (j < bEnd && isSeparator(b.charCodeAt(j))) j++;
    const kind = kindAt(a, i, aEnd);
    const difference = kind - kindAt(b, j, bEnd);
    if (difference !== 0) return difference;
    if (kind === kinds.end) return 0;
    if (kind === kinds.tilde || kind === kinds.caret) {
      i++;
      j++;
      continue;
    }
    const inSegment = kind === kinds.number ? isDigit : isLetter;
    if (kind === kinds.number) {
      while (i < aEnd && a.charCodeAt(i) === 48) i++;
      while (j < bEnd && b.charCodeAt(j) === 48) j++;
    }
    // Character by character, so that numbers of any length compare: the longer is greater, else the first difference
    // decides. Of letters the first difference decides, and a beginning of the other is older.
    let firstDifference = 0;
    let aIn = i < aEnd && inSegment(a.charCodeAt(i));
    let bIn = j < bEnd && inSegment(b.charCodeAt(j));
    while (aIn && bIn) {
      if (firstDifference === 0) firstDifference = a.charCodeAt(i) - b.charCodeAt(j);
      aIn = ++i < aEnd && inSegment(a.charCodeAt(i));
      bIn = ++j < bEnd && inSegment(b.charCodeAt(j));
    }
    if (kind === kinds.letters && firstDifference !== 0) return firstDifference;
    if (aIn !== bIn) return aIn ? 1 : -1;
    if (firstDifference !== 0) return firstDifference;
  }
}
