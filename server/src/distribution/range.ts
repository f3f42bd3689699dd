/** What HTTP says about parts of a file and about files that have not changed (RFC 9110, sections 13 and 14). Pure. */

export interface Validators {
  /** As it is sent, with its quotes; null when there is none. */
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export interface Conditions {
  readonly method: string;
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
}

export type Answering =
  | { readonly kind: 'not_modified' }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'whole' }
  /** From `start` up to, and without, `end`. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number };

/** How a file of so many bytes is to be answered with. */
export function answerTo(conditions: Conditions, file: Validators, bytes: number): Answering {
  if (isUnchanged(conditions, file)) return { kind: 'not_modified' };
  // for GET alone ranges are defined (14.2)
  if (conditions.method !== 'GET' || conditions.range === undefined) return { kind: 'whole' };
  if (conditions.ifRange !== undefined && !isSame(conditions.ifRange, file)) return { kind: 'whole' };
  return rangeOf(conditions.range, bytes);
}

/** Also of a file that has not arrived yet: what tells is known before. */
export function isUnchanged(conditions: Conditions, file: Validators): boolean {
  const { ifNoneMatch, ifModifiedSince } = conditions;
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() === '*') return true;
    if (file.etag === null) return false;
    const own = weakly(file.etag);
    return ifNoneMatch.split(',').some((one) => weakly(one.trim()) === own);
  }
  if (ifModifiedSince === undefined || file.lastModified === null) return false;
  const [known, current] = [Date.parse(ifModifiedSince), Date.parse(file.lastModified)];
  // not merely "not newer": a repository that goes back in time has changed too
  return !Number.isNaN(known) && known === current;
}

const weakly = (etag: string): string => etag.replace(/^W\//u, '');

/** Strong comparison (13.1.5): a weak mark never holds. */
function isSame(ifRange: string, file: Validators): boolean {
  const condition = ifRange.trim();
  if (condition.startsWith('"') || condition.startsWith('W/')) {
    return condition.startsWith('"') && condition === file.etag;
  }
  const [known, current] = [Date.parse(condition), Date.parse(file.lastModified ?? '')];
  return !Number.isNaN(known) && known === current;
}

/** Several ranges, another unit and what cannot be read are answered with the whole file, as 14.2 allows. */
function rangeOf(range: string, bytes: number): Answering {
  const [, first, last] = /^\s*bytes\s*=\s*(\d{0,15})-(\d{0,15})\s*$/iu.exec(range) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'whole' };
  if (first === '') {
    if (Number(last) === 0 || bytes === 0) return { kind: 'unsatisfiable' };
    return { kind: 'part', start: Math.max(0, bytes - Number(last)), end: bytes };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  if (start >= bytes) return { kind: 'unsatisfiable' };
  return { kind: 'part', start, end: last === '' ? bytes : Math.min(bytes, Number(last) + 1) };
}

/** `bytes 100-199/1000` of an answer 206; null when it is none that can be used. */
export function readContentRange(
  text: string | undefined,
): { readonly start: number; readonly bytes: number | null } | null {
  const [, first, total] = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/u.exec(text ?? '') ?? [];
  if (first === undefined || total === undefined) return null;
  return { start: Number(first), bytes: total === '*' ? null : Number(total) };
}

/** By what the rest of a file may be asked for: a strong mark, else the time of last change; null: by nothing. */
export function rangeValidator(file: Validators): string | null {
  if (file.etag !== null && file.etag.startsWith('"')) return file.etag;
  return file.lastModified;
}
