import { expect, test } from 'vitest';
import { readFeed, recordedFile } from '../recorded.ts';
import { vulnrichment } from './vulnrichment.ts';

test('the recorded sample: scores of each scorer, CISA’s decisions, and what is in KEV', async () => {
  const file = recordedFile(new URL('sample/vulnrichment-develop.zip', import.meta.url));
  const { records, rejections } = await readFeed(vulnrichment, file);
  expect(rejections).toEqual([]);
  expect(records).toHaveLength(10);

  const openssh = records.find(({ id }) => id === 'CVE-2024-6387')?.facts ?? [];
  expect(openssh[0]).toMatchObject({ kind: 'vulnerability', id: 'CVE-2024-6387', withdrawnAt: null });
  expect(openssh.slice(1)).toEqual([
    {
      kind: 'cvss',
      vulnerability: 'CVE-2024-6387',
      scorer: 'cna:redhat',
      version: '3.1',
      vector: 'CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H',
      baseScore: 8.1,
    },
    {
      kind: 'threat',
      vulnerability: 'CVE-2024-6387',
      threat: 'ssvc',
      probability: null,
      percentile: null,
      ransomware: null,
      ssvc: { exploitation: 'poc', automatable: false, technicalImpact: 'total' },
      assertedOn: '2024-07-02',
      dueOn: null,
      title: null,
      reference: null,
    },
  ]);

  const windows = records.find(({ id }) => id === 'CVE-2024-38226')?.facts ?? [];
  expect(windows.filter(({ kind }) => kind === 'threat')).toMatchObject([
    { threat: 'ssvc', ssvc: { exploitation: 'active', automatable: false, technicalImpact: 'total' } },
    { threat: 'exploited', assertedOn: '2024-09-10', ransomware: null },
  ]);

  const scores = records.flatMap(({ facts }) => facts.filter((fact) => fact.kind === 'cvss'));
  expect([...new Set(scores.map(({ version }) => version))].toSorted()).toEqual(['3.0', '3.1', '4.0']);
  expect(scores.some(({ scorer }) => scorer === 'adp:CISA-ADP')).toBe(true);

  const withdrawn = records.filter(({ facts }) =>
    facts.some((fact) => fact.kind === 'vulnerability' && fact.withdrawnAt !== null),
  );
  expect(withdrawn).toHaveLength(1);
  expect(withdrawn[0]?.facts).toHaveLength(1);
});
