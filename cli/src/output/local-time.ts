/** Times as the clocks of a zone show them. */

/** The zone of this machine. */
export function ownZone(): string {
  return new Intl.DateTimeFormat('en-GB').resolvedOptions().timeZone;
}

/** `Sat 2026-12-19 22:00` in a zone; the text itself when it is no time or no zone. */
export function inZone(time: string, zone: string): string {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return time;
  let parts: Intl.DateTimeFormatPart[];
  try {
    parts = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }).formatToParts(at);
  } catch {
    return time;
  }
  const of = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
  return `${of('weekday')} ${of('year')}-${of('month')}-${of('day')} ${of('hour')}:${of('minute')}`;
}
