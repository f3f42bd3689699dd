/**
 * Alpine's version order, as apk-tools 3 (and 2.14 since its rewritten src/version.c) does it, checked by a golden file:
 *
 *     number{.number}...{letter}{_suffix{number}}...{~hash}{-r number}
 *
 * with the suffixes `_alpha _beta _pre _rc` (before the version itself) and `_cvs _svn _git _hg _p` (after it).
 *
 * A text is a version here when `apk version --check` accepts it, with two exceptions, for which apk's answer would be an
 * accident: a number above 2^64 − 1 (apk's arithmetic wraps round) and a character that is not ASCII (apk takes any
 * such character into a suffix or a hash). Everything that apk refuses is `unparseable`: an empty text, a dot or `-r`
 * without a number after it, two letters, a digit or a dot after the letter, upper case, an unknown suffix, an empty hash
 * or one with other characters than 0–9 and a–f, a Debian revision, an epoch, white space.
 */

/** A version that has been checked. Made only by {@link parseApk}. */
export interface ApkVersion {
  readonly text: string;
  /**
   * Its tokens in order, three numbers each: rank (see `ranks`), and where its value starts and ends in `text`; leading zeros
   * are left out of the value where they mean nothing. The last token is the end.
   */
  readonly tokens: readonly number[];
}

export type ApkRefusalCode =
  | 'version_empty'
  | 'version_must_start_with_digit'
  | 'number_missing'
  | 'number_too_big'
  | 'suffix_unknown'
  | 'hash_empty'
  | 'revision_invalid'
  | 'character_unexpected';

export interface ApkRefusal {
  readonly ok: false;
  readonly code: ApkRefusalCode;
  readonly message: string;
}

export type ApkParse = { readonly ok: true; readonly version: ApkVersion } | ApkRefusal;

/**
 * What may stand at one place of a version, from older to newer. Where two versions differ in this, it decides: `1.0_rc1`
 * is older than `1.0`, which is older than `1.0-r1`, `1.0_p1`, `1.0a` and `1.0.1`, in this order.
 */
const ranks = {
  alpha: 1,
  beta: 2,
  pre: 3,
  rc: 4,
  end: 5,
  revision: 6,
  hash: 7,
  suffixNumber: 8,
  cvs: 9,
  svn: 10,
  git: 11,
  hg: 12,
  p: 13,
  letter: 14,
  number: 15,
  firstNumber: 16,
} as const;

const suffixRanks: ReadonlyMap<string, number> = new Map(
  (['alpha', 'beta', 'pre', 'rc', 'cvs', 'svn', 'git', 'hg', 'p'] as const).map((name) => [
    name,
    ranks[name],
  ]),
);

/** 2^64 − 1, the largest number that apk reads right. */
const numberMaximum = '18446744073709551615';

const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isLower = (c: number): boolean => c >= 97 && c <= 122;
const isHex = (c: number): boolean => isDigit(c) || (c >= 97 && c <= 102);

/** Where the run of characters that starts at `start` ends. */
function endOf(text: string, start: number, belongs: (c: number) => boolean): number {
  let i = start;
  while (i < text.length && belongs(text.charCodeAt(i))) i++;
  return i;
}

/** The parts of a version in the order in which they may follow each other; numbers and suffixes may be many. */
const stages = { numbers: 0, letter: 1, suffix: 2, hash: 3, revision: 4 } as const;

/** Parses and checks an Alpine version. Nothing around it is dropped. */
export function parseApk(text: string): ApkParse {
  if (text === '') return refusal('version_empty', 'the version is empty');
  const tokens: number[] = [];
  /** Adds the number at `start` and gives the position after it, or what is wrong with it. */
  const addNumber = (rank: number, start: number): number | ApkRefusal => {
    const end = endOf(text, start, isDigit);
    if (end === start)
      return refusal('number_missing', `a number is missing at position ${String(start + 1)}`);
    let significant = start;
    while (significant < end && text.charCodeAt(significant) === 48) significant++;
    const length = end - significant;
    if (
      length > numberMaximum.length ||
      (length === numberMaximum.length && text.slice(significant, end) > numberMaximum)
    ) {
      return refusal('number_too_big', `a number is above ${numberMaximum}`);
    }
    // A later number keeps its leading zeros: 1.01 is not 1.1.
    tokens.push(rank, rank === ranks.number ? start : significant, end);
    return end;
  };

  const first = addNumber(ranks.firstNumber, 0);
  if (typeof first !== 'number') {
    return first.code === 'number_missing'
      ? refusal('version_must_start_with_digit', 'the version does not start with a digit')
      : first;
  }
  let i = first;
  let stage: number = stages.numbers;
  let numberMayFollow = false;
  while (i < text.length) {
    const c = text.charCodeAt(i);
    let next: number | ApkRefusal;
    if (c === 46 && stage === stages.numbers) {
      next = addNumber(ranks.number, i + 1);
    } else if (isDigit(c) && numberMayFollow) {
      next = addNumber(ranks.suffixNumber, i);
      numberMayFollow = false;
    } else if (isLower(c) && stage === stages.numbers) {
      next = i + 1;
      tokens.push(ranks.letter, i, next);
      stage = stages.letter;
    } else if (c === 95 && stage <= stages.suffix) {
      next = endOf(text, i + 1, isLower);
      const rank = suffixRanks.get(text.slice(i + 1, next));
      if (rank === undefined)
        return refusal('suffix_unknown', 'after an underscore stands no suffix that apk knows');
      tokens.push(rank, i + 1, next);
      stage = stages.suffix;
      numberMayFollow = true;
    } else if (c === 126 && stage < stages.hash) {
      next = endOf(text, i + 1, isHex);
      if (next === i + 1) return refusal('hash_empty', 'after the tilde stands no hash of 0–9 and a–f');
      tokens.push(ranks.hash, i + 1, next);
      stage = stages.hash;
      numberMayFollow = false;
    } else if (c === 45 && stage < stages.revision) {
      if (text.charCodeAt(i + 1) !== 114) return refusal('revision_invalid', 'after the hyphen stands no r');
      next = addNumber(ranks.revision, i + 2);
      stage = stages.revision;
      numberMayFollow = false;
    } else {
      return refusal('character_unexpected', `character ${String(i + 1)} may not stand there`);
    }
    if (typeof next !== 'number') return next;
    i = next;
  }
  tokens.push(ranks.end, i, i);
  return { ok: true, version: { text, tokens } };
}

function refusal(code: ApkRefusalCode, message: string): ApkRefusal {
  return { ok: false, code, message };
}

/** Below 0 when `a` is older than `b`, above 0 when newer, 0 when apk holds them to be the same. Allocates nothing. */
export function compareApk(a: ApkVersion, b: ApkVersion): number {
  for (let at = 0; ; at += 3) {
    // Both end with an end, so the first difference in rank comes at the latest where the shorter one ends.
    const rank = a.tokens[at] ?? ranks.end;
    const difference = rank - (b.tokens[at] ?? ranks.end);
    if (difference !== 0) return difference;
    if (rank === ranks.end) return 0;
    const aStart = a.tokens[at + 1] ?? 0;
    const bStart = b.tokens[at + 1] ?? 0;
    const aLength = (a.tokens[at + 2] ?? 0) - aStart;
    const bLength = (b.tokens[at + 2] ?? 0) - bStart;
    // Text order where it is no number, or, as in Gentoo's rule, where one of two later numbers starts with a zero.
    const asText =
      rank === ranks.hash ||
      (rank === ranks.number && (a.text.charCodeAt(aStart) === 48 || b.text.charCodeAt(bStart) === 48));
    if (!asText && aLength !== bLength) return aLength - bLength;
    const common = Math.min(aLength, bLength);
    for (let i = 0; i < common; i++) {
      const order = a.text.charCodeAt(aStart + i) - b.text.charCodeAt(bStart + i);
      if (order !== 0) return order;
    }
    if (aLength !== bLength) return aLength - bLength;
  }
}
