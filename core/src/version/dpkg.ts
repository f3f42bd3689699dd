/**
 * Debian's version order, as deb-version(7) describes it and as dpkg does it (lib/dpkg/parsehelp.c `parseversion`,
 * lib/dpkg/version.c `verrevcmp`), checked against the real dpkg by golden files and by a live test.
 *
 * A text is a version here exactly when `dpkg --validate-version` accepts it. `dpkg --compare-versions` itself goes on
 * with a warning when an upstream version does not start with a digit or holds a character that is not allowed; we do
 * not guess an order for such text: the answer is `unparseable`, which a match turns into `undetermined`.
 */

/**
 * A version that has been checked, as positions in its own text, so that comparing neither cuts strings nor allocates.
 * Made only by {@link parseDpkg}.
 */
export interface DpkgVersion {
  readonly text: string;
  /** 0–2147483647; 0 when the text names none. */
  readonly epoch: number;
  readonly upstreamStart: number;
  readonly upstreamEnd: number;
  /** Where the revision starts; equal to `end` when there is none (which compares equal to revision `0`). */
  readonly revisionStart: number;
  readonly end: number;
}

export type DpkgRefusalCode =
  | 'version_empty'
  | 'embedded_space'
  | 'epoch_empty'
  | 'epoch_not_a_number'
  | 'epoch_negative'
  | 'epoch_too_big'
  | 'upstream_version_empty'
  | 'upstream_version_must_start_with_digit'
  | 'upstream_version_invalid_character'
  | 'revision_empty'
  | 'revision_invalid_character';

export interface DpkgRefusal {
  readonly ok: false;
  readonly code: DpkgRefusalCode;
  readonly message: string;
}

export type DpkgParse = { readonly ok: true; readonly version: DpkgVersion } | DpkgRefusal;

const epochMaximum = 2_147_483_647;

const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isLetter = (c: number): boolean => (c >= 97 && c <= 122) || (c >= 65 && c <= 90);
/** C's isblank(): what dpkg trims at both ends. */
const isBlank = (c: number): boolean => c === 32 || c === 9;
/** `+`, `.`, `~` */
const isPartMark = (c: number): boolean => c === 43 || c === 46 || c === 126;

/**
 * Parses and checks a Debian version, `[epoch:]upstream-version[-debian-revision]`. Spaces and tabs around it are
 * dropped, as dpkg does.
 */
export function parseDpkg(text: string): DpkgParse {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  if (start === end) return refusal('version_empty', 'the version is empty');

  let colon = -1;
  let hyphen = -1;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 58 && colon < 0) colon = i;
    else if (c === 45) hyphen = i;
    else if (isBlank(c)) return refusal('embedded_space', 'there is a space inside the version');
  }

  let epoch = 0;
  if (colon >= 0) {
    const parsed = parseEpoch(text, start, colon);
    if (typeof parsed !== 'number') return parsed;
    epoch = parsed;
    start = colon + 1;
  }

  const upstreamEnd = hyphen >= start ? hyphen : end;
  const revisionStart = hyphen >= start ? hyphen + 1 : end;
  if (upstreamEnd < end && revisionStart === end) {
    return refusal('revision_empty', 'there is nothing after the last hyphen');
  }
  if (start === upstreamEnd) return refusal('upstream_version_empty', 'the upstream version is empty');
  if (!isDigit(text.charCodeAt(start))) {
    return refusal(
      'upstream_version_must_start_with_digit',
      'the upstream version does not start with a digit',
    );
  }
  for (let i = start + 1; i < upstreamEnd; i++) {
    const c = text.charCodeAt(i);
    // Besides the marks of a revision an upstream version may hold `-` and `:`.
    if (!isDigit(c) && !isLetter(c) && !isPartMark(c) && c !== 45 && c !== 58) {
      return refusal(
        'upstream_version_invalid_character',
        'the upstream version holds a character that is not allowed',
      );
    }
  }
  for (let i = revisionStart; i < end; i++) {
    const c = text.charCodeAt(i);
    if (!isDigit(c) && !isLetter(c) && !isPartMark(c)) {
      return refusal('revision_invalid_character', 'the revision holds a character that is not allowed');
    }
  }
  return { ok: true, version: { text, epoch, upstreamStart: start, upstreamEnd, revisionStart, end } };
}

/** The epoch as C's strtol() reads it: white space, one sign and leading zeros are taken. */
function parseEpoch(text: string, start: number, colon: number): number | DpkgRefusal {
  let i = start;
  // strtol() skips \n \v \f \r too; spaces and tabs cannot occur here any more.
  while (i < colon && text.charCodeAt(i) >= 10 && text.charCodeAt(i) <= 13) i++;
  const sign = text.charCodeAt(i);
  const negative = sign === 45;
  if (negative || sign === 43) i++;
  if (i === colon || !isDigit(text.charCodeAt(i))) {
    return refusal(
      i === colon ? 'epoch_empty' : 'epoch_not_a_number',
      'the epoch (before the colon) is not a number',
    );
  }
  let epoch = 0;
  for (; i < colon; i++) {
    const c = text.charCodeAt(i);
    if (!isDigit(c)) return refusal('epoch_not_a_number', 'the epoch (before the colon) is not a number');
    if (epoch <= epochMaximum) epoch = epoch * 10 + (c - 48);
  }
  if (negative && epoch > 0) return refusal('epoch_negative', 'the epoch is negative');
  if (epoch > epochMaximum) return refusal('epoch_too_big', `the epoch is above ${String(epochMaximum)}`);
  return epoch;
}

function refusal(code: DpkgRefusalCode, message: string): DpkgRefusal {
  return { ok: false, code, message };
}

/** Below 0 when `a` is older than `b`, above 0 when newer, 0 when dpkg holds them to be the same. Allocates nothing. */
export function compareDpkg(a: DpkgVersion, b: DpkgVersion): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  const upstream = comparePart(
    a.text,
    a.upstreamStart,
    a.upstreamEnd,
    b.text,
    b.upstreamStart,
    b.upstreamEnd,
  );
  if (upstream !== 0) return upstream;
  return comparePart(a.text, a.revisionStart, a.end, b.text, b.revisionStart, b.end);
}

/** dpkg's `order()`: `~` before the end of a part, then the end and digits, then letters, then everything else. */
function weight(c: number): number {
  if (c <= 57 && c >= 48) return 0;
  if (isLetter(c)) return c;
  if (c === 126) return -1;
  return c === 0 ? 0 : c + 256;
}

/** dpkg's `verrevcmp()` over a[i, aEnd) and b[j, bEnd); the end of a part reads as character 0. */
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
  let ca = i < aEnd ? a.charCodeAt(i) : 0;
  let cb = j < bEnd ? b.charCodeAt(j) : 0;
  while (ca !== 0 || cb !== 0) {
    while ((ca !== 0 && !isDigit(ca)) || (cb !== 0 && !isDigit(cb))) {
      if (ca !== cb) {
        const difference = weight(ca) - weight(cb);
        if (difference !== 0) return difference;
      }
      ca = ++i < aEnd ? a.charCodeAt(i) : 0;
      cb = ++j < bEnd ? b.charCodeAt(j) : 0;
    }
    while (ca === 48) ca = ++i < aEnd ? a.charCodeAt(i) : 0;
    while (cb === 48) cb = ++j < bEnd ? b.charCodeAt(j) : 0;
    // Digit by digit, so that numbers of any length compare: the longer is greater, else the first difference decides.
    let firstDifference = 0;
    while (isDigit(ca) && isDigit(cb)) {
      if (firstDifference === 0) firstDifference = ca - cb;
      ca = ++i < aEnd ? a.charCodeAt(i) : 0;
      cb = ++j < bEnd ? b.charCodeAt(j) : 0;
    }
    if (isDigit(ca)) return 1;
    if (isDigit(cb)) return -1;
    if (firstDifference !== 0) return firstDifference;
  }
  return 0;
}
