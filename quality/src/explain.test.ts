/** What `explain` tells of a vulnerability on a host must be what matching made of it, over the whole corpus. */
import { expect, test } from 'vitest';
import { explain, type ExplainedVerdict } from '@fixpoint/core/finding/explain.ts';
import { productOf } from '@fixpoint/core/knowledge/ecosystem.ts';
import { readCorpus, type Case, type CaseVerdict } from './case.ts';
import { readInstalled } from './installed.ts';
import { exposuresOf, judgeCase } from './judge.ts';
import { readKnowledge } from './knowledge.ts';

/** Windows is explained by its own matching, and of an unknown system nothing is asked. */
const corpus = readCorpus().filter(({ system }) => system.os !== 'windows' && system.os !== 'devuan');

/**
 * The worst of a host's packages, in the order that explaining weighs them, and what may be told of it. Explaining does not
 * look at the kernel that a reboot would start: of a running kernel it says `open` where the finding waits for the reboot.
 */
const order: readonly (readonly [CaseVerdict, ...ExplainedVerdict[]])[] = [
  ['withdrawn', 'withdrawn'],
  ['vulnerable', 'open'],
  ['reboot_pending', 'reboot_pending', 'open'],
  ['restart_pending', 'restart_pending'],
  ['undetermined', 'undetermined'],
  ['fixed', 'fixed'],
  // RPM has all kernels under one name: the one that runs is the fixed one.
  ['not_running', 'not_affected', 'fixed'],
  ['not_affected', 'not_affected'],
];

async function differences(one: Case): Promise<string[]> {
  const product = productOf(one.system.os, one.system.os_release);
  const knowledge = await readKnowledge(one.knowledge, product);
  const statements = knowledge.statements.filter(({ statement }) => statement.release === product.release);
  if (statements.length === 0) return [];
  const judged = await judgeCase(one);
  const installed = readInstalled(one).map((p, id) => ({ id, ...p }));
  const residue = (one.system.residue ?? []).map((p, at) => ({ ...p, id: 10_000 + at }));
  const gone = (one.system.gone ?? []).map((p, at) => ({ ...p, id: 20_000 + at }));
  const software = exposuresOf(one.system, installed, residue, gone).list.map((exposure) => ({
    ...exposure.software,
    arch: exposure.software.arch ?? '',
    counts: exposure.counts,
    reason: null,
  }));
  const answers = Map.groupBy(judged.answers, ([pair]) => pair.split(' ')[0] ?? '');
  const wrong: string[] = [];
  for (const vulnerability of new Set(one.labels.map((label) => label.vulnerability))) {
    const told = explain({
      vulnerability,
      hostname: 'host',
      product,
      productKnown: true,
      vulnerabilityKnown: knowledge.vulnerabilities.has(vulnerability),
      statements: statements.filter(({ statement }) => statement.vulnerability === vulnerability),
      withdrawals: knowledge.withdrawn.has(vulnerability)
        ? [{ feed: 'cve-list', record: vulnerability, withdrawnAt: '2025-01-01T00:00:00Z' }]
        : [],
      software,
      offered: [],
      held: [],
    });
    const verdicts = new Set<CaseVerdict>(
      (answers.get(vulnerability) ?? []).map(([, answer]) => answer.verdict),
    );
    if (judged.withdrawn.has(vulnerability)) verdicts.add('withdrawn');
    const [matched, ...may] = order.find(([verdict]) => verdicts.has(verdict)) ?? [
      'not_listed',
      'not_listed',
      'not_installed',
    ];
    if (!may.includes(told.verdict))
      wrong.push(
        `${one.name}: ${vulnerability} is explained as ${told.verdict} (${told.sentence}) and matched as ${matched}`,
      );
  }
  return wrong;
}

test('every vulnerability of every case is explained as it is matched', { timeout: 120_000 }, async () => {
  const wrong: string[] = [];
  for (const one of corpus) wrong.push(...(await differences(one)));
  expect(wrong, wrong.slice(0, 10).join('\n')).toEqual([]);
});
