import type { Command } from 'commander';
import { Patch } from '@fixpoint/contract/finding.ts';
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
import { facts, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';

/** The newest few of many identifiers, and how many more there are: `patch show` has all. */
function some(vulnerabilities: readonly string[]): string {
  const newest = vulnerabilities.toReversed().slice(0, 3).join(', ');
  return vulnerabilities.length > 3 ? `${newest} and ${vulnerabilities.length - 3} more` : newest;
}

const columns: readonly Column<Patch>[] = [
  { title: 'PATCH', of: (p) => p.id },
  { title: 'CLOSES', of: (p) => String(p.findings), align: 'right' },
  { title: 'ASSETS', of: (p) => String(p.assets), align: 'right' },
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
    .action(async (options: ListOptions & { package?: string; asset?: string }) => {
      const query = { package: options.package, asset: options.asset };
      const list = await fetchList(serverOf(options), '/api/v1/patches', Patch, query, options);
      printList(list, columns, options, 'No such patch.');
    });
  forServer(
    noun
      .command('show')
      .description('one patch')
      .argument('<patch>', 'such as debian:12/openssl@3.0.17-1~deb12u3'),
  ).action(async (id: string, options: ServerOptions) => {
    const path = `/api/v1/patches/${id.split('/').map(encodeURIComponent).join('/')}`;
    const patch = await ask(serverOf(options), path, Patch);
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
