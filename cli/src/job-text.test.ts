import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { definitionFacts } from './job-text.ts';

function definitionOf(value: unknown): PatchJobDefinition {
  const parsed = parseShape(PatchJobDefinition, value);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

const least = {
  name: 'openssl',
  trigger: 'manual',
  patches: ['debian:12/openssl@3.0.22-1~deb12u2'],
  target: { tags: ['web'], assets: [], exclude: [] },
  units: 'restart',
  install_timeout_seconds: 1800,
  expire_after_seconds: 86400,
  concurrency: 50,
};
const told = (value: unknown): Record<string, string | null> =>
  Object.fromEntries(definitionFacts(definitionOf(value)));

test('what a job leaves out is told by its plain meaning, or not at all', () => {
  expect(told(least)).toMatchObject({
    started: 'by hand',
    windows: 'none: at any time',
    calendars: null,
    'missed window': null,
    removals: 'not allowed',
    reboot: 'by hand: such tasks wait as reboot pending',
    rollback: 'off: nothing is kept',
    health: null,
  });
});

test('the example of the docs, which says everything that can be said, is told in whole', () => {
  const docs = readFileSync(new URL('../../docs/patch-jobs.md', import.meta.url), 'utf8');
  const [, text] = /```json job\n([^`]*)```/u.exec(docs) ?? [];
  expect(told(JSON.parse(text ?? 'null'))).toMatchObject({
    started: 'Patch Tuesday + 4 days at 20:00 (Europe/Berlin)',
    windows: "night: sat, sun at 22:00 (each asset's own zone) for 240 min, nothing begun in the last 30 min",
    calendars: 'year-end',
    'missed window': 'waits for the next',
    downloads: '120 min before a window opens',
    'never touched': 'postgresql-*',
    pinned: 'nginx 1.22.1-9+deb12u4',
    reboot:
      'prompt; announced 300 s before; put off at most 3 times by 60 min; reboot when nobody is signed in; never more than 1 of tag:etcd at once; in the order tag:proxy, tag:web, the rest; back within 900 s',
    rollback: 'any failure; by packages',
    'actions before': 'drain (120 s, fail when it fails)',
    'actions after': 'undrain (120 s, continue when it fails)',
    health: 'unit nginx.service, http://127.0.0.1/health (200), no newly failed unit; within 60 s',
  });
});

test.each([
  [{ kind: 'once', local: '2026-12-20T22:00' }, 'once, 2026-12-20 22:00 (UTC)'],
  [{ kind: 'daily', at: '22:00' }, 'every day at 22:00 (UTC)'],
  [{ kind: 'monthly', week: 2, day: 'sat', at: '22:00' }, 'second sat of the month at 22:00 (UTC)'],
  [{ kind: 'monthly', week: 'last', day: 'sun', at: '02:00' }, 'last sun of the month at 02:00 (UTC)'],
  [{ kind: 'patch_tuesday', offset_days: 0, at: '20:00' }, 'Patch Tuesday at 20:00 (UTC)'],
  [{ kind: 'patch_tuesday', offset_days: -1, at: '20:00' }, 'Patch Tuesday - 1 day at 20:00 (UTC)'],
  [
    { kind: 'rrule', rule: 'FREQ=WEEKLY;BYDAY=SA', local: '2026-01-03T22:00' },
    'FREQ=WEEKLY;BYDAY=SA from 2026-01-03 22:00 (UTC)',
  ],
])('tells when a schedule starts: %j', (starts, words) => {
  const scheduled = { ...least, trigger: 'schedule', schedule: { zone: 'UTC', starts } };
  expect(told(scheduled)['started']).toBe(words);
});
