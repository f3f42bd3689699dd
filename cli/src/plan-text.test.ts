import { expect, test } from 'vitest';
import type { Plan } from '@fixpoint/contract/patch-job.ts';
import { planText } from './plan-text.ts';

const id = '00000000-0000-4000-8000-000000000000';
type Planned = Plan['tasks'][number];

function task(hostname: string, names: readonly string[]): Planned {
  return {
    asset_id: id,
    hostname,
    patches: [],
    packages: names.map((name) => ({
      name,
      arch: 'amd64',
      from: '1',
      to: '2',
      source: name,
      source_version: '2',
    })),
    fixes: ['CVE-2026-1111'],
    download_bytes: 1_000_000,
  };
}
const textOf = (tasks: readonly Planned[]): string =>
  planText({
    format: 1,
    job_id: id,
    made_at: '2026-01-01T00:00:00Z',
    digest: 'd',
    tasks: [...tasks],
    excluded: [],
    warnings: [],
  });

test('few changes stand in the table, many below it in full, once for all assets that get the same', () => {
  const text = textOf([task('web-1', ['a', 'b', 'c']), task('web-2', ['a', 'b', 'c']), task('db-1', ['a'])]);
  expect(text).toMatch(/web-1 +3 changes/u);
  expect(text).toMatch(/db-1 +a 1 → 2/u);
  expect(text).toContain('\nOn web-1, web-2:\n  a 1 → 2\n  b 1 → 2\n  c 1 → 2\n');
  expect(text).not.toContain('On db-1');
});

test('assets of one list are named up to ten', () => {
  const many = Array.from({ length: 12 }, (_, i) => task(`web-${String(i)}`, ['a', 'b', 'c']));
  expect(textOf(many)).toContain('web-9 and 2 more:\n');
});

test('many units are counted in the table and named below it', () => {
  const prediction = {
    simulated_at: '2026-01-01T00:00:00Z',
    remarks: [],
    download_bytes: 0,
    disk_bytes: 0,
    disk_free_bytes: 0,
    restarts: ['a.service', 'b.service', 'c.service'],
    reboot: false,
    rollback: { possible: true, reasons: [] },
  };
  const text = textOf([{ ...task('web-1', ['a']), prediction }]);
  expect(text).toContain('used by 3 units');
  expect(text).toContain('  used by c.service\n');
});

test('what nobody has asked the asset is said to be unknown, not nothing', () => {
  expect(textOf([task('web-1', ['a'])])).toContain('not asked');
});
