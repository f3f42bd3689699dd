import type { Command } from 'commander';
import { Finding } from '@fixpoint/contract/finding.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { noteStaleKnowledge } from '../knowledge-notice.ts';
import { compared } from '../output/comparison.ts';
import { print, printJson } from '../output/stream.ts';
import { facts, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';
import { dangerStyle, dangerWords, fixStateWords } from '../scan/report.ts';

const columns: readonly Column<Finding>[] = [
  { title: 'VULNERABILITY', of: (f) => f.vulnerability, style: (f) => (f.exploited ? 'red' : undefined) },
  { title: 'DANGER', of: dangerWords, style: dangerStyle, yields: 1, least: 10 },
  { title: 'RISK', of: (f) => f.risk_score.toFixed(0), align: 'right' },
  { title: 'CVSS', of: (f) => f.cvss?.toFixed(1) ?? '-', align: 'right', yields: 4, least: 4 },
  { title: 'ASSET', of: (f) => f.hostname },
  { title: 'PACKAGE', of: (f) => f.package },
  { title: 'STATUS', of: (f) => f.status.replace('_', ' ') },
  { title: 'INSTALLED', of: (f) => f.evidence.installed_version ?? '-', yields: 5, least: 10 },
  { title: 'PATCH', of: patchWords, yields: 2, least: 12 },
  { title: 'SEEN', of: (f) => relative(f.first_seen_at), yields: 6, least: 9 },
  {
    title: 'WHY',
    of: (f) => f.status_reason ?? f.evidence.sentence,
    style: () => 'dim',
    yields: 7,
    least: 40,
  },
];

function patchWords(f: Finding): string {
  if (f.patch === null) {
    const [known] = f.mitigations;
    const reason = f.missing_patch?.reason;
    const state =
      reason === 'not_built_by_distribution'
        ? 'of another vendor'
        : reason === 'undetermined'
          ? 'not known'
          : (fixStateWords[f.fix_state] ?? f.fix_state);
    return known === undefined ? state : `${state}; mitigation:${known.id}`;
  }
  return f.patch.offered ? f.patch.id : `${f.patch.id} (not offered)`;
}

interface Wanted {
  readonly asset?: string;
  readonly vulnerability?: string;
  readonly package?: string;
  readonly status?: string;
  readonly tag?: string;
  readonly query?: string;
}

export function register(noun: Command): void {
  forList(
    noun
      .command('list')
      .description('findings, most dangerous first; without --status all that are not fixed'),
  )
    .option('--asset <asset>', 'id, or hostname when unique')
    .option('--vulnerability <id>', 'such as CVE-2023-5363')
    .option('--package <name>', 'source package')
    .option(
      '--status <list>',
      'open, restart_pending, reboot_pending, fixed, undetermined, … separated by commas',
    )
    .option('--tag <tag>', 'only on assets of this tag')
    .option('--query <query>', 'only those that it finds, such as "exploited and asset.criticality >= 4"')
    .action(async (options: ListOptions & Wanted) => {
      const { asset, vulnerability, package: name, status, tag, query: text } = options;
      const query = { asset, vulnerability, package: name, status, tag, query: text };
      const to = serverOf(options);
      const list = await fetchList(to, '/api/v1/findings', Finding, query, options);
      printList(list, columns, options, 'No such finding.');
      await noteStaleKnowledge(to, asset);
    });
  for (const [verb, summary] of [
    ['show', 'one vulnerability on one asset'],
    ['why', 'why a finding is what it is: the facts, the rule, the comparison'],
  ] as const) {
    forServer(noun.command(verb).description(summary))
      .argument('<asset>', 'id, or hostname when unique')
      .argument('<vulnerability>', 'such as CVE-2023-5363')
      .action(async (asset: string, vulnerability: string, options: ServerOptions) => {
        const found = await one(asset, vulnerability, options);
        if (options.json === true) printJson(found);
        else print(found.map(verb === 'why' ? explain : describe).join('\n'));
      });
  }
}

/** One vulnerability may be in several source packages of an asset, so this may be more than one finding. */
async function one(asset: string, vulnerability: string, options: ServerOptions): Promise<Finding[]> {
  const status = 'open,restart_pending,reboot_pending,mitigated,accepted,fixed,undetermined';
  const query = { asset, vulnerability, status };
  const { items } = await fetchList(serverOf(options), '/api/v1/findings', Finding, query, {});
  if (items.length > 0) return items;
  throw new Failure(
    exitCodes.refused,
    'finding_not_found',
    `${asset} has, and had, no finding ${vulnerability}`,
    `fixpoint finding list --asset ${asset} shows what it has.`,
  );
}

function verdict(f: Finding): string {
  const where = `${f.vulnerability} in ${f.package} on ${f.hostname}`;
  switch (f.status) {
    case 'fixed':
      return `${where} is fixed${f.fixed_at === null ? '' : ` since ${absolute(f.fixed_at) ?? ''}`}.`;
    case 'restart_pending':
      return `${where} is fixed on disk; a process still runs the old code.`;
    case 'reboot_pending':
      return `${where} is fixed on disk; the old kernel still runs.`;
    case 'mitigated':
      return `${where} cannot be used while a mitigation is in force; the software is not fixed.`;
    case 'undetermined':
      return `${where} could not be judged.`;
    default:
      return f.patch === null
        ? `${where} is ${f.status}; ${fixStateWords[f.fix_state] ?? f.fix_state}.${knownWords(f)}`
        : `${where} is ${f.status}; ${f.patch.id} fixes it${f.patch.offered ? '' : ', which no repository of this asset offers'}.`;
  }
}

/** What helps while there is no patch. */
function knownWords({ mitigations }: Finding): string {
  const ids = mitigations.filter((m) => m.state !== 'applied').map((m) => `${m.id} ${m.effect} it`);
  return ids.length === 0 ? '' : ` A mitigation is known: ${ids.join(', ')}.`;
}

function mitigationWords({ id, title, effect, condition, state }: Finding['mitigations'][number]): string {
  const stands = state === null ? 'not applied here' : state.replace('_', ' ');
  return `${id} ${effect} it (${stands}): ${title}. ${condition}`;
}

function describe(f: Finding): string {
  return `${verdict(f)}\n\n${facts([
    ['title', f.title],
    ['status', f.status],
    ['why this status', f.status_reason],
    ['installed', f.installed.join(', ')],
    ['fixed in', f.fixed_version ?? fixStateWords[f.fix_state] ?? f.fix_state],
    ['patch', f.patch?.id ?? null],
    ['risk score', `${f.risk_score.toFixed(1)} of 100`],
    ...f.mitigations.map((m) => ['mitigation', mitigationWords(m)] as const),
    ['exploited', f.exploited ? `yes${f.ransomware ? ', by ransomware too' : ''}` : 'not known to be'],
    [
      'EPSS',
      f.epss === null ? null : `${(f.epss * 100).toFixed(1)} % chance of being exploited within 30 days`,
    ],
    ['CVSS', f.cvss === null ? null : `${f.cvss.toFixed(1)} of 10, by ${f.cvss_scorer ?? '?'}`],
    ['exploit', exploitWords[f.exploit]],
    ...f.danger_disagreements.map((text) => ['sources disagree', text] as const),
    ['first seen', absolute(f.first_seen_at)],
    ['fixed', absolute(f.fixed_at)],
    ['why', f.evidence.sentence],
  ])}`;
}

const exploitWords = {
  none: 'no code is known',
  public: 'code is public',
  weaponised: 'a ready module is public',
  active: 'attacks are known',
} as const;

function explain(f: Finding): string {
  const { evidence } = f;
  return `${evidence.sentence}${f.status_reason === null ? '' : `\n${f.status_reason}`}\n\n${facts([
    ['rule', evidence.rule],
    ['feed', evidence.feed],
    ['record', evidence.record],
    ['advisory', evidence.advisory],
    ['installed', evidence.installed_version],
    ['compared', compared(evidence)],
    ['fixed in', evidence.fixed_version],
    ['note of the source', evidence.note],
    ...evidence.disagreements.map((text) => ['another source says', text] as const),
  ])}`;
}
