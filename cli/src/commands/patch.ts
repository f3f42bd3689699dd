import type { Command } from 'commander';
import { BestPatches, RiskRemoved, type BestPatch } from '@fixpoint/contract/best-patches.ts';
import { Patch } from '@fixpoint/contract/finding.ts';
import { parsePatchId } from '@fixpoint/core/knowledge/patch.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';

/** Where the server has a patch. What is no id would be read as another route, and refused with words about that one. */
export function pathOf(id: string): string {
  if (parsePatchId(id) === null) {
    throw new Failure(
      exitCodes.usage,
      'bad_patch_id',
      `${JSON.stringify(id)} is not the id of a patch`,
      'Write it like debian:12/openssl@3.0.17-1~deb12u3; fixpoint patch list shows them.',
    );
  }
  return `/api/v1/patches/${id.split('/').map(encodeURIComponent).join('/')}`;
}

/** The newest few of many identifiers, and how many more there are: `patch show` has all. */
function some(vulnerabilities: readonly string[]): string {
  const newest = vulnerabilities.toReversed().slice(0, 3).join(', ');
  return vulnerabilities.length > 3 ? `${newest} and ${vulnerabilities.length - 3} more` : newest;
}

const columns: readonly Column<Patch>[] = [
  { title: 'PATCH', of: (p) => p.id },
  { title: 'CLOSES', of: (p) => String(p.findings), align: 'right' },
  { title: 'ASSETS', of: (p) => String(p.assets), align: 'right' },
  { title: 'RISK', of: (p) => p.risk_removed.toFixed(0), align: 'right', yields: 1, least: 4 },
  {
    title: 'OFFERED',
    of: (p) => (p.offered_since === null ? 'by no repository yet' : relative(p.offered_since)),
    yields: 2,
    least: 9,
  },
  { title: 'SUPERSEDED BY', of: (p) => p.superseded_by ?? '-', yields: 3, least: 13 },
  { title: 'FIXES', of: (p) => some(p.fixes), yields: 4, least: 20 },
];

export function register(noun: Command): void {
  forList(noun.command('list').description('patches, those that close most findings first'))
    .option('--package <name>', 'source package')
    .option('--asset <asset>', 'only what this asset needs: id, or hostname when unique')
    .option('--query <query>', 'only those that it finds, such as "package = openssl"')
    .action(async (options: ListOptions & { package?: string; asset?: string; query?: string }) => {
      const query = { package: options.package, asset: options.asset, query: options.query };
      const list = await fetchList(serverOf(options), '/api/v1/patches', Patch, query, options);
      printList(list, columns, options, 'No such patch.');
    });
  forServer(
    noun
      .command('best')
      .description('the best next patches: those that remove most risk within a budget')
      .option('--packages <n>', 'at most so many packages or updates')
      .option('--reboots <n>', 'at most so many reboots of assets')
      .option('--minutes <n>', 'at most so many minutes of a window')
      .option('--wanted <risk>', 'the fewest that remove so much risk, or such a share: 50%')
      .option('--tag <tag>', 'only on assets of this tag')
      .option('--query <query>', 'only on assets that it selects, such as "os = debian"'),
  ).action(async (options: ServerOptions & Budget) => {
    const { packages, reboots, minutes, wanted, tag, query } = options;
    const best = await ask(serverOf(options), '/api/v1/patches/best', BestPatches, {
      query: { packages, reboots, minutes, wanted, tag, query },
    });
    if (options.json === true) printJson(best);
    else print(describeBest(best));
  });
  forServer(
    noun
      .command('risk')
      .description('risk that a patch removes, by itself and on top of others')
      .argument('<patch>', 'such as debian:12/openssl@3.0.17-1~deb12u3')
      .option('--with <patches>', 'patches that are deployed as well, separated by commas')
      .option('--tag <tag>', 'only on assets of this tag')
      .option('--query <query>', 'only on assets that it selects'),
  ).action(async (id: string, options: ServerOptions & Scope & { with?: string }) => {
    const { tag, query } = options;
    const path = `${pathOf(id)}/risk-removed`;
    const removed = await ask(serverOf(options), path, RiskRemoved, {
      query: { tag, query, with: options.with },
    });
    if (options.json === true) printJson(removed);
    else print(describeRemoved(removed));
  });
  forServer(
    noun
      .command('show')
      .description('one patch')
      .argument('<patch>', 'such as debian:12/openssl@3.0.17-1~deb12u3'),
  ).action(async (id: string, options: ServerOptions) => {
    const patch = await ask(serverOf(options), pathOf(id), Patch);
    if (options.json === true) printJson(patch);
    else print(describe(patch));
  });
}

function describe(p: Patch): string {
  const assets = `${String(p.assets)} asset${p.assets === 1 ? '' : 's'}`;
  const findings = `${String(p.findings)} open finding${p.findings === 1 ? '' : 's'}`;
  return `${p.id} closes ${findings} on ${assets}.\n\n${facts([
    ['package', `${p.package} (source) of ${p.ecosystem} ${p.release}`],
    ['version', p.version],
    ['known since', absolute(p.known_since)],
    ['offered since', absolute(p.offered_since) ?? 'no repository of an asset offers it'],
    ['superseded by', p.superseded_by],
    ['supersedes', p.supersedes.length > 0 ? p.supersedes.join(', ') : null],
    ['fixes', p.fixes.join(', ')],
  ])}\nfixpoint job create --patch ${p.id} --target tag:NAME --preview   shows what deploying it would do\n`;
}

interface Scope {
  readonly tag?: string;
  readonly query?: string;
}
interface Budget extends Scope {
  readonly packages?: string;
  readonly reboots?: string;
  readonly minutes?: string;
  readonly wanted?: string;
}

/** One decimal where it matters; figures of a sample need not be whole. */
const figure = (value: number): string => value.toFixed(Number.isInteger(value) || value >= 10 ? 0 : 1);

const bestColumns: readonly Column<BestPatch>[] = [
  { title: 'PATCH', of: (p) => p.patch },
  { title: 'REMOVES', of: (p) => figure(p.removed), align: 'right' },
  { title: 'CLOSES', of: (p) => figure(p.findings), align: 'right' },
  { title: 'ASSETS', of: (p) => figure(p.assets), align: 'right' },
  { title: 'REBOOTS', of: (p) => figure(p.cost.reboots), align: 'right', yields: 1, least: 7 },
  { title: 'MINUTES', of: (p) => figure(p.cost.minutes), align: 'right', yields: 2, least: 7 },
];

/** The table, the total, and how far from the best it can be. */
export function describeBest(best: BestPatches): string {
  const { before, after, removed, removable, cost, scope, wanted, reached } = best;
  const share = (part: number, of: number): string =>
    of === 0 ? '0 %' : `${((100 * part) / of).toFixed(1)} %`;
  if (best.patches.length === 0) {
    const why =
      scope.candidates === 0
        ? 'no patch is known that closes anything there.'
        : removable === 0
          ? 'no patch removes risk there: what they close is accepted.'
          : 'no patch fits the budget.';
    return `Nothing to choose: ${why} Risk of the ${figure(scope.assets)} assets: ${figure(before)}.\n`;
  }
  return `${table(bestColumns, best.patches)}
${facts([
  [
    'risk removed',
    `${figure(removed)} of ${figure(before)} (${share(removed, before)}); ${figure(after)} is left`,
  ],
  ['by all patches', `${figure(removable)} (${share(removable, before)})`],
  [
    'wanted',
    wanted === null
      ? null
      : `${figure(wanted)}, ${reached === true ? 'reached' : 'not reached within the budget'}`,
  ],
  [
    'cost',
    `${figure(cost.packages)} packages, ${figure(cost.reboots)} reboots, ${figure(cost.minutes)} minutes`,
  ],
  [
    'gap to the bound',
    reached === true
      ? null
      : `${best.gap_percent.toFixed(1)} % (at most ${figure(best.upper_bound)} can be removed within the budget)`,
  ],
  ['how good', best.guarantee_sentence],
  ['estimated', scope.sample?.sentence ?? null],
])}`;
}

function describeRemoved(risk: RiskRemoved): string {
  return `${risk.patch} removes ${figure(risk.alone)} of the risk ${figure(risk.before)} by itself.\n\n${facts(
    [
      ['closes', `${figure(risk.findings)} findings on ${figure(risk.assets)} assets`],
      ['on top of', risk.with.length === 0 ? null : `${risk.with.join(', ')}: ${figure(risk.on_top)}`],
      ['together', risk.with.length === 0 ? null : figure(risk.together)],
      ['estimated', risk.scope.sample?.sentence ?? null],
    ],
  )}`;
}
