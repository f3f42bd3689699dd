import { randomBytes } from 'node:crypto';
import { readdir, readlink } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { exportBundle } from './bundle-export.ts';
import { lineFeed, syncTest } from './sync-double.ts';
import { syncFeed } from './sync.ts';

const person = { kind: 'person', name: 'ada@example.org' } as const;

test.each([true, false])('an export that is broken off leaves no file open (zstd: %s)', async (compress) => {
  const t = await syncTest((url) => [lineFeed('epss', `${url}/epss`)]);
  try {
    const [feed] = t.parts.feeds;
    if (feed === undefined) throw new Error('a feed');
    const noise = randomBytes(1_500_000).toString('hex');
    t.from.publish('/epss', noise.replaceAll(/(.{60})/g, 'CVE-2026-0001 $1\n'));
    expect(await syncFeed(t.parts, feed)).toMatchObject({ outcome: 'imported' });
    const made = await exportBundle(t.parts, person, ['epss'], compress);
    if (!made.ok) throw new Error(made.message);
    for await (const _ of made.value.stream) break;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const names = await readdir('/proc/self/fd');
    const links = await Promise.all(names.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    expect(links.filter((link) => link.startsWith(t.folder))).toEqual([]);
  } finally {
    await t.close();
  }
});
