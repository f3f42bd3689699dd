/**
 * Comma-separated values as RFC 4180 has them: lines end in CR LF, and what holds a comma, quote or line break is quoted.
 *
 * Text that a spreadsheet would take for a formula (it begins with = + - @, tab or carriage return) gets an apostrophe before
 * it, as names of hosts and titles come from others. Numbers stay numbers.
 */
export function csvLine(cells: readonly (string | number | boolean | null | readonly string[])[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(value: string | number | boolean | null | readonly string[]): string {
  if (value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : value.join(' ');
  const safe = /^[=+\-@\t\r]/u.test(text) ? `'${text}` : text;
  return /[",\r\n]/u.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
