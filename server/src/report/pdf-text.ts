import type { ColumnValue } from '@fixpoint/core/posture/select/column.ts';
import type { ExportedColumn } from './exported.ts';

/** Text for a PDF with the fonts that every reader has: those know the letters of Windows-1252 only. */

// What Windows-1252 has at 0x80 to 0x9F.
const alsoKnown = new Set('€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ');

/** Whether any character was lost is told to `lost`. */
export function printable(text: string, lost: () => void): string {
  if (/^[ -~]*$/.test(text)) return text;
  let result = '';
  for (const character of text.normalize('NFC')) {
    const code = character.codePointAt(0) ?? 0;
    if ((code >= 0x20 && code <= 0x7e) || (code >= 0xa0 && code <= 0xff) || alsoKnown.has(character))
      result += character;
    else if (code < 0x20 || code === 0x7f) result += ' ';
    else {
      result += '?';
      lost();
    }
  }
  return result;
}

const numbers = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 5 });

/** A value as text in a table of a page; times are in UTC, which the page says. */
export function textOfCell(column: Pick<ExportedColumn, 'type'>, value: ColumnValue): string {
  if (value === null) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'object') return value.join(', ');
  if (column.type === 'date' && typeof value === 'string')
    return value.endsWith('T00:00:00.000Z') ? value.slice(0, 10) : minute(value);
  return typeof value === 'number' ? numbers.format(value) : value;
}

/** `2026-03-02 10:00` of an RFC 3339 time in UTC. */
export function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}
