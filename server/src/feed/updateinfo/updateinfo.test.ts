import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { FeedFile, FeedRejection } from '../feed.ts';
import { madeUpFile } from '../recorded.ts';
import { evrOf, factsOfUpdate, instantOf, isDebug } from './facts.ts';
import { isRejection, readUpdateinfo, type Update } from './updateinfo.ts';

async function read(file: FeedFile): Promise<{ updates: Update[]; rejections: FeedRejection[] }> {
  const updates: Update[] = [];
  const rejections: FeedRejection[] = [];
  for await (const item of readUpdateinfo(file)) {
    if (isRejection(item)) rejections.push(item);
    else updates.push(item);
  }
  return { updates, rejections };
}

const context = { ecosystem: 'almalinux', release: '8', channel: null, url: null, record: 'r' } as const;
const modular = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <!-- as AlmaLinux writes it -->
  <update from="packager@almalinux.org" status="final" type="security" version="2.0">
    <id>ALSA-2024:1444</id>
    <title>Important: nodejs:16 security update</title>
    <issued date="2024-03-20T00:00:00Z"/>
    <updated date="1710979200"/>
    <severity>Important</severity>
    <description><![CDATA[a <b> & c]]> &amp; d</description>
    <references>
      <reference href="https://errata.almalinux.org/8/ALSA-2024-1444.html" id="ALSA-2024:1444" type="self" title="ALSA-2024:1444"/>
      <reference href="https://access.redhat.com/security/cve/CVE-2024-22019" id="cve-2024-22019 " type="cve" title="CVE-2024-22019"/>
      <reference href="" id="CVE-2024" type="cve" title=""/>
    </references>
    <pkglist>
      <collection short="almalinux-8-x86_64-appstream">
        <name>almalinux-8-for-x86_64-appstream-rpms__8_3_default</name>
        <module name="nodejs" stream="16" version="8090020240315081818" context="a75119d5" arch="x86_64"/>
        <package name="npm" version="8.19.4" release="1.16.20.2.4.module_el8" epoch="1" arch="x86_64" src="n.src.rpm"><filename>npm.rpm</filename></package>
        <package name="nodejs" version="16.20.2" release="4.module_el8" epoch="1" arch="x86_64"/>
        <package name="nodejs" version="16.20.2" release="4.module_el8" epoch="1" arch="aarch64"/>
        <package name="nodejs" version="" release="4" epoch="1" arch="x86_64"/>
      </collection>
      <collection>
        <package name="nodejs-packaging" version="25" release="1.module_el8" epoch="0" arch="noarch"/>
        <package name="curl" version="7.61.1" release="34.el8" epoch="" arch="i686"/>
      </collection>
    </pkglist>
  </update>
</updates>`;

test('an update with a module, its references, texts with entities, and the element as published', async () => {
  const { updates, rejections } = await read(madeUpFile(gzipSync(modular)));
  expect(rejections).toEqual([]);
  const [update] = updates;
  if (update === undefined) throw new Error('one update');
  expect(update).toMatchObject({ id: 'ALSA-2024:1444', type: 'security', description: 'a <b> & c & d' });
  expect(update.raw.startsWith('<update from="packager@almalinux.org"')).toBe(true);
  expect(update.raw.endsWith('</pkglist>\n  </update>')).toBe(true);
  const { facts, rejections: refused } = factsOfUpdate(update, context);
  expect(refused.map(({ code, record }) => [code, record])).toEqual([
    ['id_unknown', 'r'],
    ['package_incomplete', 'r'],
  ]);
  expect(facts[0]).toEqual({
    kind: 'advisory',
    id: 'ALSA-2024:1444',
    title: 'Important: nodejs:16 security update',
    publishedAt: '2024-03-20T00:00:00.000Z',
    withdrawnAt: null,
    vulnerabilities: ['CVE-2024-22019'],
    url: 'https://errata.almalinux.org/8/ALSA-2024-1444.html',
  });
  expect(
    facts.flatMap((fact) =>
      fact.kind === 'statement' ? [[fact.package, fact.fixedVersion, fact.module, fact.statedAt]] : [],
    ),
  ).toEqual([
    ['npm', '1:8.19.4-1.16.20.2.4.module_el8', 'nodejs:16', '2024-03-21T00:00:00.000Z'],
    ['nodejs', '1:16.20.2-4.module_el8', 'nodejs:16', '2024-03-21T00:00:00.000Z'],
    ['nodejs-packaging', '25-1.module_el8', '?', '2024-03-21T00:00:00.000Z'],
    ['curl', '7.61.1-34.el8', null, '2024-03-21T00:00:00.000Z'],
  ]);
});

test('the element as published, wherever the pieces of the file end', async () => {
  const one = (id: string) =>
    `<update type="security"><id>${id}</id><title>${'é&amp;'.repeat(700)}</title></update>`;
  const ids = Array.from({ length: 30 }, (_, index) => `U-${String(index)}`);
  const text = `<updates>\r\n${ids.map(one).join('\r\n')}\r\n</updates>`;
  const { updates } = await read(madeUpFile(text));
  expect(updates.map(({ id, raw }) => [id, raw])).toEqual(ids.map((id) => [id, one(id)]));
});

test('an update without an id is refused, the others are read', async () => {
  const { updates, rejections } = await read(
    madeUpFile('<updates><update><title>t</title></update><update><id>U-1</id></update></updates>'),
  );
  expect(updates.map(({ id }) => id)).toEqual(['U-1']);
  expect(rejections).toMatchObject([{ position: 'update 1', code: 'id_missing', record: null }]);
});

const bomb = `<!DOCTYPE updates [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<updates><update><id>&b;</id></update></updates>`;
const outside = `<!DOCTYPE updates [<!ENTITY x SYSTEM "file:///etc/passwd">]><updates><update><id>&x;</id></update></updates>`;
const deep = `<updates><update>${'<a>'.repeat(50)}${'</a>'.repeat(50)}</update></updates>`;

test.each([
  ['entities in each other', bomb, 'not_this_format', /document type/u],
  ['an entity from outside', outside, 'not_this_format', /document type/u],
  [
    'an entity that nobody declared',
    '<updates><update><id>&b;</id></update></updates>',
    'not_this_format',
    /entity/u,
  ],
  ['elements without end', deep, 'file_too_large', /depth of update 1/u],
  [
    'an update without end',
    `<updates><update><id>${'x'.repeat(17 * 1024 * 1024)}`,
    'file_too_large',
    /length/u,
  ],
  ['an HTML page', '<!doctype html><p>', 'web_page_instead_of_feed', /HTML/u],
  ['other XML', '<repomd></repomd>', 'not_this_format', /<repomd>/u],
  ['an end too early', modular.slice(0, 900), 'file_truncated', /inside <updates><update>/u],
  ['tags crossed', '<updates><update></updates></update>', 'not_this_format', /well-formed/u],
])('%s is refused', async (_, text, code, message) => {
  await expect(read(madeUpFile(text))).rejects.toMatchObject({
    name: 'FeedFormatError',
    code,
    message: expect.stringMatching(message),
  });
});

test('versions, debug packages and times as publishers write them', () => {
  expect(evrOf({ epoch: '0', version: '1', release: '2.el9' })).toBe('1-2.el9');
  expect(evrOf({ epoch: '32', version: '1', release: '2.el9' })).toBe('32:1-2.el9');
  expect(
    ['kernel-debuginfo-common-x86_64', 'curl-debugsource', 'debuginfod', 'gcc-debug'].map(isDebug),
  ).toEqual([true, true, false, false]);
  expect(
    [
      '2011-09-27 22:46',
      '2024-07-01 20:41:00',
      '2024-07-01',
      '1710979200',
      '2024-03-20T00:00:00Z',
      '',
      'soon',
      '2024-13-01',
    ].map(instantOf),
  ).toEqual([
    '2011-09-27T22:46:00.000Z',
    '2024-07-01T20:41:00.000Z',
    '2024-07-01T00:00:00.000Z',
    '2024-03-21T00:00:00.000Z',
    '2024-03-20T00:00:00.000Z',
    null,
    null,
    null,
  ]);
});

const tools = ['createrepo_c', 'modifyrepo_c'].every((tool) => spawnSync(tool, ['--version']).status === 0);
if (!tools) console.warn('updateinfo.test.ts: SKIPPED: createrepo_c and modifyrepo_c are not installed');

test.skipIf(!tools)('a repository that createrepo_c and modifyrepo_c made', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fixpoint-updateinfo-'));
  try {
    const run = (tool: string, ...args: string[]) => {
      const { status, stderr } = spawnSync(tool, args, { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
    };
    run('createrepo_c', '--quiet', folder);
    const sample = fileURLToPath(new URL('../amazon-alas/sample/updateinfo.xml', import.meta.url));
    run('modifyrepo_c', sample, join(folder, 'repodata'));
    const name = readdirSync(join(folder, 'repodata')).find((file) => file.endsWith('updateinfo.xml.gz'));
    if (name === undefined) throw new Error('modifyrepo_c writes updateinfo.xml.gz');
    const made = await read(madeUpFile(readFileSync(join(folder, 'repodata', name))));
    const direct = await read(madeUpFile(readFileSync(sample)));
    expect(made.rejections).toEqual([]);
    expect(made.updates.map(({ id }) => id)).toEqual([
      'ALAS2023-2024-649',
      'ALAS2-2018-951',
      'ALASKERNEL-5.10-2022-002',
    ]);
    const facts = (updates: readonly Update[]) =>
      updates.map((update) => factsOfUpdate(update, context).facts);
    expect(facts(made.updates)).toEqual(facts(direct.updates));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
