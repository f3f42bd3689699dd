import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readTimeZone } from './wall-clock.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A root with these two as a distribution leaves them; `copy`: /etc/localtime is a file, no link. */
function rootWith({ link, copy, timezone }: { link?: string; copy?: boolean; timezone?: string }): string {
  const root = mkdtempSync(join(tmpdir(), 'fixpoint-zone-'));
  folders.push(root);
  mkdirSync(join(root, 'etc'));
  if (link !== undefined) symlinkSync(link, join(root, 'etc/localtime'));
  if (copy === true) writeFileSync(join(root, 'etc/localtime'), 'TZif2');
  if (timezone !== undefined) writeFileSync(join(root, 'etc/timezone'), timezone);
  return root;
}

describe('the zone of the host', () => {
  test.each([
    ['Debian 12', { link: '/usr/share/zoneinfo/Etc/UTC', timezone: 'Etc/UTC\n' }, 'Etc/UTC'],
    ['RHEL, SUSE, Arch', { link: '../usr/share/zoneinfo/Europe/Berlin' }, 'Europe/Berlin'],
    ['Alpine', { link: '/etc/zoneinfo/America/Argentina/Buenos_Aires' }, 'America/Argentina/Buenos_Aires'],
    ['leap seconds', { link: '/usr/share/zoneinfo/right/Asia/Tokyo' }, 'Asia/Tokyo'],
    [
      'the link is newer than the text',
      { link: '/usr/share/zoneinfo/Asia/Tokyo', timezone: 'Etc/UTC\n' },
      'Asia/Tokyo',
    ],
    [
      'a copy, as old installers made it',
      { copy: true, timezone: 'Australia/Lord_Howe\n' },
      'Australia/Lord_Howe',
    ],
    [
      'a link without a name',
      { link: '/usr/share/zoneinfo/localtime', timezone: '# set by hand\nEurope/Paris' },
      'Europe/Paris',
    ],
    ['a copy alone', { copy: true }, null],
    ['nothing', {}, null],
    ['no zone', { timezone: 'Mars/Olympus\n' }, null],
    ['an offset', { timezone: '+01:00\n' }, null],
    ['a binary file', { timezone: 'TZif2\0\0' }, null],
    ['something long', { timezone: `Europe/${'x'.repeat(500)}` }, null],
  ])('%s: %j', (_where, files, zone) => {
    expect(readTimeZone(rootWith(files))).toBe(zone);
  });
});
