/** What all feeds say in the same way: rejections, the ids of vulnerabilities, and when a file holds nothing of the feed. */
import type { TLocalizedValidationError } from 'typebox/error';
import { FeedFormatError, type FeedFile, type FeedRecord, type FeedRejection } from './feed.ts';

const cvePattern = /^CVE-[0-9]{4}-[0-9]{4,19}$/u;

/** Whether the text is a CVE id as the CVE Program defines it. */
export function isCve(text: string): boolean {
  return cvePattern.test(text);
}

/** `record`: the id of the record that is refused, or refused in part, where that much of it can be read. */
export function rejection(
  position: string,
  code: string,
  message: string,
  text: string,
  record: string | null = null,
): FeedRejection {
  return {
    outcome: 'rejection',
    position,
    code,
    message,
    excerpt: text.slice(0, 300).toWellFormed(),
    record,
  };
}

/**
 * A time of RFC 3339 as ISO 8601 in UTC, or null when it is not one: a store must never meet a time that it cannot read.
 * CVE records leave the zone out at times and mean UTC.
 */
export function parseInstant(text: string): string | null {
  const form =
    /^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?$/u.exec(
      text,
    );
  if (form === null || !isDay(form[1] ?? '')) return null;
  const time = Date.parse(form[2] === undefined ? `${text}Z` : text);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}

/** Whether the text is a day of the calendar, `YYYY-MM-DD`. */
export function isDay(text: string): boolean {
  const time = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/u.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** A schema's complaints as one sentence; at most three of them. */
export function schemaComplaint(errors: readonly TLocalizedValidationError[]): string {
  return errors
    .slice(0, 3)
    .map((error) => `${error.instancePath === '' ? 'the record' : error.instancePath} ${error.message}`)
    .join('; ');
}

/**
 * Passes records and rejections on, and throws when there was not one record: such a file is of another format, and
 * taking it for an empty feed would withdraw everything that the feed said before.
 */
export async function* requireRecords(
  file: FeedFile,
  items: AsyncIterable<FeedRecord | FeedRejection>,
): AsyncGenerator<FeedRecord | FeedRejection> {
  let records = 0;
  let first: FeedRejection | null = null;
  for await (const item of items) {
    if (item.outcome === 'record') records++;
    else first ??= item;
    yield item;
  }
  if (records === 0) {
    throw new FeedFormatError(
      'no_records',
      first === null
        ? `${file.name} holds no record of this feed`
        : `${file.name} holds no record that can be read; the first was refused at ${first.position}: ${first.message}`,
      'Check that the file belongs to this feed; nothing of it was taken.',
    );
  }
}
