import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile } from '../recorded.ts';
import { brief, read, vex } from './made-up-vex.ts';
import { redhatCsaf } from './redhat-csaf.ts';

test('the recorded sample', async () => {
  const file = recordedFile(new URL('sample/vex.jsonl', import.meta.url));
  const { records, rejections } = await readFeed(redhatCsaf, file);
  expect(rejections).toEqual([]);
  expect(records.map(({ id }) => id)).toEqual(['CVE-2023-42670', 'CVE-2024-24786']);
  const [samba, cri] = records;
  expect(samba?.facts[0]).toMatchObject({
    kind: 'vulnerability',
    id: 'CVE-2023-42670',
    title: 'AD DC Busy RPC multiple listener DoS',
    publishedAt: '2023-10-10T00:00:00.000Z',
  });
  expect(samba?.facts.slice(1)).toHaveLength(5);
  expect(samba?.facts.at(-1)).toEqual({
    kind: 'statement',
    vulnerability: 'CVE-2023-42670',
    ecosystem: 'redhat',
    release: '9',
    package: 'samba',
    packageKind: 'source',
    module: null,
    channel: null,
    status: 'not_affected',
    introducedVersion: null,
    fixedVersion: null,
    updates: [],
    fixState: 'available',
    note: 'vulnerable_code_not_present',
    advisory: null,
    statedAt: '2023-10-11T11:12:42.999Z',
  });
  expect(cri?.facts.slice(1)).toEqual([
    {
      kind: 'cvss',
      vulnerability: 'CVE-2024-24786',
      scorer: 'redhat',
      version: '3.1',
      vector: 'CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:H',
      baseScore: 5.9,
    },
    expect.objectContaining({
      package: 'cri-tools',
      packageKind: 'binary',
      release: '9',
      channel: 'product:openshift:4.16',
      status: 'fixed',
      fixedVersion: '1.29.0-3.1.el9',
      note: 'Moderate',
      statedAt: '2025-06-04T15:27:02.000Z',
    }),
  ]);
});

test('fixed builds: one for all architectures and repositories, epochs, channels, and the erratum of each', async () => {
  const parts = {
    'AppStream-9.4.0.Z.MAIN.EUS:bind-32:9.16.23-18.el9_4.1.x86_64':
      'pkg:rpm/redhat/bind@9.16.23-18.el9_4.1?arch=x86_64&epoch=32',
    'AppStream-9.4.0.Z.MAIN.EUS:bind-32:9.16.23-18.el9_4.1.aarch64':
      'pkg:rpm/redhat/bind@9.16.23-18.el9_4.1?arch=aarch64&epoch=32',
    'BaseOS-9.4.0.Z.MAIN.EUS:bind-32:9.16.23-18.el9_4.1.x86_64':
      'pkg:rpm/redhat/bind@9.16.23-18.el9_4.1?arch=x86_64&epoch=32',
    'AppStream-9.4.0.Z.MAIN.EUS:bind-32:9.16.23-18.el9_4.1.src':
      'pkg:rpm/redhat/bind@9.16.23-18.el9_4.1?arch=src&epoch=32',
    'AppStream-9.4.0.Z.MAIN.EUS:bind-debuginfo-32:9.16.23-18.el9_4.1.x86_64': null,
    'AppStream-9.2.0.Z.EUS:bind-32:9.16.23-11.el9_2.6.x86_64':
      'pkg:rpm/redhat/bind@9.16.23-11.el9_2.6?arch=x86_64&epoch=32',
    '9Base-satellite-6.16:foreman-0:3.12.0.1-1.el9sat.noarch':
      'pkg:rpm/redhat/foreman@3.12.0.1-1.el9sat?arch=noarch',
  };
  const fix = (erratum: string, ids: string[]) => ({
    category: 'vendor_fix',
    details: 'For details on how to apply this update, …',
    date: '2024-09-03T09:00:00+00:00',
    url: `https://access.redhat.com/errata/${erratum}`,
    product_ids: ids,
    restart_required: { category: 'none' },
  });
  const [main = '', , , , , eus = ''] = Object.keys(parts);
  const { statements, rejections } = await read(
    vex(parts, {
      product_status: { fixed: Object.keys(parts) },
      remediations: [fix('RHSA-2024:0001', [main]), fix('RHSA-2024:0002', [eus])],
    }),
  );
  expect(rejections).toEqual([]);
  expect(statements.map(brief)).toEqual([
    ['bind', 'binary', '9', null, null, '32:9.16.23-18.el9_4.1'],
    ['bind', 'binary', '9', 'eus:9.2', null, '32:9.16.23-11.el9_2.6'],
    ['foreman', 'binary', '9', 'product:satellite:6.16', null, '3.12.0.1-1.el9sat'],
  ]);
  expect(statements[1]).toMatchObject({ advisory: 'RHSA-2024:0002', statedAt: '2024-09-03T09:00:00.000Z' });
});

test('unfixed components: source or binary, and what Red Hat’s words come to', async () => {
  const parts = {
    'red_hat_enterprise_linux_9:curl.src': 'pkg:rpm/redhat/curl?arch=src',
    'red_hat_enterprise_linux_9:libcurl': 'pkg:rpm/redhat/libcurl',
    'red_hat_enterprise_linux_8:kernel': null,
    'red_hat_enterprise_linux_8:tar': 'pkg:rpm/redhat/tar?arch=src',
    'red_hat_enterprise_linux_8:vim': 'pkg:rpm/redhat/vim?arch=src',
    'red_hat_enterprise_linux_8:rhel8/postgresql-12':
      'pkg:oci/postgresql-12?repository_url=registry.redhat.io/rhel8/postgresql-12',
    'red_hat_enterprise_linux_8:org.apache.kafka/kafka-clients': null,
    'red_hat_quay_3:quay/quay-rhel8': null,
  };
  const [curl, libcurl, kernel, tar, vim] = Object.keys(parts);
  const remedy = (category: string, details: string, id: string | undefined) => ({
    category,
    details,
    product_ids: [id],
  });
  const { statements, rejections } = await read(
    vex(parts, {
      product_status: {
        known_affected: Object.keys(parts).filter((id) => id !== vim),
        under_investigation: [vim],
      },
      remediations: [
        remedy('workaround', 'Do not use it.', curl),
        remedy('no_fix_planned', 'Will not fix', curl),
        remedy('none_available', 'Fix deferred', libcurl),
        remedy('no_fix_planned', 'Out of support scope', kernel),
        remedy('none_available', 'Affected', tar),
      ],
      threats: [{ category: 'impact', details: 'Low', product_ids: [curl] }],
    }),
  );
  expect(rejections).toEqual([]);
  expect(
    statements.map(({ package: name, packageKind, release, status, fixState, note }) => [
      name,
      packageKind,
      release,
      status,
      fixState,
      note,
    ]),
  ).toEqual([
    ['curl', 'source', '9', 'affected', 'will_not_fix', 'Low; Will not fix'],
    ['libcurl', 'binary', '9', 'affected', 'deferred', 'Fix deferred'],
    ['kernel', 'source', '8', 'affected', 'end_of_life', 'Out of support scope'],
    ['tar', 'source', '8', 'affected', 'none_yet', 'Affected'],
    ['vim', 'source', '8', 'undetermined', 'none_yet', null],
  ]);
});

test('a build that is not affected does not clear a package of which another build is fixed', async () => {
  const parts = {
    'AppStream-9.4.0.Z.MAIN.EUS:go-0:1.21-1.el9.x86_64': null,
    'AppStream-9.4.0.Z.MAIN.EUS:go-0:1.20-1.el9.x86_64': null,
    'AppStream-9.4.0.Z.MAIN.EUS:delve-0:1.20-1.el9.x86_64': null,
  };
  const [fixed, other, clear] = Object.keys(parts);
  const { statements } = await read(
    vex(parts, { product_status: { fixed: [fixed], known_not_affected: [other, clear] } }),
  );
  expect(statements.map(({ package: name, status }) => [name, status])).toEqual([
    ['go', 'fixed'],
    ['delve', 'not_affected'],
  ]);
});

test('an advisory is an advisory, with the highest score of its flaw', async () => {
  const score = (vectorString: string) => ({ cvss_v3: { vectorString, baseScore: 1 }, products: [] });
  const { record, facts } = await read(
    vex(
      { 'AppStream-9.4.0.Z.MAIN.EUS:go-0:1.21-1.el9.x86_64': null },
      {
        product_status: { fixed: ['AppStream-9.4.0.Z.MAIN.EUS:go-0:1.21-1.el9.x86_64'] },
        scores: [
          score('CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:N'),
          score('CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H'),
        ],
      },
      {
        category: 'csaf_security_advisory',
        title: 'Red Hat Security Advisory: go security update',
        references: [{ category: 'self', url: 'https://access.redhat.com/errata/RHSA-2024:0026' }],
        tracking: {
          id: 'RHSA-2024:0026',
          status: 'final',
          version: '1',
          initial_release_date: '2024-01-02T10:00:00+00:00',
          current_release_date: '2024-01-02T10:00:00+00:00',
          revision_history: [],
        },
      },
    ),
  );
  expect(record?.id).toBe('RHSA-2024:0026');
  expect(facts[0]).toEqual({
    kind: 'advisory',
    id: 'RHSA-2024:0026',
    title: 'Red Hat Security Advisory: go security update',
    publishedAt: '2024-01-02T10:00:00.000Z',
    withdrawnAt: null,
    vulnerabilities: ['CVE-2024-7348'],
    url: 'https://access.redhat.com/errata/RHSA-2024:0026',
  });
  expect(facts.filter(({ kind }) => kind === 'cvss')).toMatchObject([{ baseScore: 9.8 }]);
  expect(facts.at(-1)).toMatchObject({ advisory: 'RHSA-2024:0026', statedAt: '2024-01-02T10:00:00.000Z' });
});

test('contradictions and what cannot be read are rejections that name the record', async () => {
  const part = 'red_hat_enterprise_linux_9:curl';
  const { statements, rejections } = await read(
    vex(
      { [part]: null },
      {
        product_status: {
          fixed: [part, 'nowhere:curl'],
          known_affected: [part],
          recommended: [part],
        },
        scores: [{ cvss_v3: { vectorString: 'CVSS:3.1/AV:N', baseScore: 9 }, products: [part] }],
      },
    ),
  );
  expect(statements).toMatchObject([{ package: 'curl', status: 'undetermined' }]);
  expect(rejections.map(({ code, record }) => [code, record])).toEqual([
    ['product_undefined', 'CVE-2024-7348'],
    ['cvss_invalid', 'CVE-2024-7348'],
    ['statement_unreadable', 'CVE-2024-7348'],
    ['statement_unreadable', 'CVE-2024-7348'],
    ['statement_unreadable', 'CVE-2024-7348'],
  ]);
});

test('a document that Red Hat took back is a record without facts, and others are read beside a bad one', async () => {
  const text = [
    '{"document":{"tracking":{"id":"CVE-2023-0118","status":"deleted"}}}',
    '{"document":{"tracking":{"id":"CVE-2023-0119","status":"final"}}}',
    JSON.stringify(vex({}, { cve: 'none' })),
  ].join('\n');
  const { records, rejections } = await readFeed(redhatCsaf, madeUpFile(zstdCompressSync(Buffer.from(text))));
  expect(records.map(({ id, facts }) => [id, facts])).toEqual([
    ['CVE-2023-0118', []],
    ['CVE-2024-7348', []],
  ]);
  expect(rejections.map(({ code, record }) => [code, record])).toEqual([
    ['not_csaf', 'CVE-2023-0119'],
    ['id_unknown', 'CVE-2024-7348'],
  ]);
});

test('a large document is kept without its lists of products, and says so', async () => {
  const parts = Object.fromEntries(
    Array.from({ length: 300 }, (_, n) => [`red_hat_enterprise_linux_9:package-${String(n)}`, null]),
  );
  const { record, statements } = await read(
    vex(parts, {
      title: 'a large flaw',
      product_status: { known_affected: Object.keys(parts) },
      remediations: [{ category: 'none_available', details: 'Affected', product_ids: Object.keys(parts) }],
    }),
  );
  expect(statements).toHaveLength(300);
  expect(record?.raw.length).toBeLessThan(2000);
  expect(JSON.parse(record?.raw ?? '')).toMatchObject({
    document: { tracking: { id: 'CVE-2024-7348' } },
    product_tree: expect.stringContaining('left out here'),
    vulnerabilities: [
      {
        title: 'a large flaw',
        product_status: { known_affected: '300 products, left out here' },
        remediations: [{ details: 'Affected', product_ids: '300 products, left out here' }],
      },
    ],
  });
});

test('a document whose flaw has become unreadable replaces nothing', async () => {
  const good = vex({}, { title: 'a flaw' });
  const bad = { ...vex({}, { title: 7 }), product_tree: {} };
  const { records, rejections } = await readFeed(
    redhatCsaf,
    madeUpFile(
      [{ ...good, document: { ...good.document, tracking: { id: 'CVE-2024-1', status: 'deleted' } } }, bad]
        .map((one) => JSON.stringify(one))
        .join('\n'),
    ),
  );
  expect(records.map(({ id }) => id)).toEqual(['CVE-2024-1']);
  expect(rejections).toMatchObject([{ code: 'vulnerability_invalid', record: 'CVE-2024-7348' }]);
});

test('a fix in a version that is not named is not known, and does not read as safe', async () => {
  const part = 'red_hat_enterprise_linux_9:curl';
  const { statements, rejections } = await read(vex({ [part]: null }, { product_status: { fixed: [part] } }));
  expect(statements).toMatchObject([
    { package: 'curl', release: '9', status: 'undetermined', fixedVersion: null, fixState: 'none_yet' },
  ]);
  expect(rejections).toMatchObject([{ code: 'statement_unreadable' }]);
});
