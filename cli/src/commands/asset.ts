import type { Command } from 'commander';
import { Type } from 'typebox';
import { Asset, AssetDetail } from '@fixpoint/contract/asset.ts';
import { policyWords } from '@fixpoint/core/host-policy/words.ts';
import { ask } from '../http-client.ts';
import { registerForAssets } from './criticality.ts';
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
import { print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';
import { absolute, relative } from '../output/time.ts';

const Retired = Type.Object({ id: Type.String(), retired_at: Type.String() });

const columns: readonly Column<Asset>[] = [
  { title: 'HOSTNAME', of: (a) => a.hostname },
  { title: 'CONTACT', of: (a) => a.contact, style: (a) => (a.contact === 'silent' ? 'yellow' : undefined) },
  { title: 'LAST SEEN', of: (a) => relative(a.last_seen_at), yields: 2, least: 10 },
  { title: 'RISK', of: (a) => a.risk.toFixed(0), align: 'right' },
  { title: 'OPEN', of: (a) => String(a.open_findings), align: 'right' },
  { title: 'RESTART', of: (a) => String(a.restart_pending_findings), align: 'right', yields: 3, least: 7 },
  { title: 'UNKNOWN', of: (a) => String(a.undetermined), align: 'right', yields: 4, least: 7 },
  { title: 'PACKAGES', of: (a) => String(a.packages), align: 'right', yields: 5, least: 8 },
  { title: 'SYSTEM', of: (a) => `${a.os} ${a.os_release} ${a.arch}`, yields: 6, least: 9 },
  { title: 'MODE', of: (a) => a.mode, yields: 1, least: 6 },
  { title: 'TAGS', of: (a) => a.tags.join(', '), yields: 7, least: 6 },
  { title: 'ID', of: (a) => a.id, yields: 8, least: 36 },
];

interface Wanted {
  readonly tag?: string;
  readonly hostname?: string;
  readonly query?: string;
  readonly sort?: string;
}

export function register(noun: Command): void {
  forList(noun.command('list').description('assets with their open findings'))
    .option('--tag <tag>', 'only members of this tag')
    .option('--hostname <text>', 'only this hostname')
    .option('--query <query>', 'only those that it finds, such as "os = debian and risk > 600"')
    .option('--sort <order>', 'hostname or risk')
    .action(async (options: ListOptions & Wanted) => {
      const { tag, hostname, query: text, sort } = options;
      const query = { tag, hostname, query: text, sort };
      const list = await fetchList(serverOf(options), '/api/v1/assets', Asset, query, options);
      printList(list, columns, options, 'No asset. fixpoint enroll shows how a host joins.');
    });

  forServer(
    noun.command('show').description('one asset').argument('<asset>', 'id, or hostname when unique'),
  ).action(async (reference: string, options: ServerOptions) => {
    const to = serverOf(options);
    const detail = await ask(to, `/api/v1/assets/${encodeURIComponent(reference)}`, AssetDetail);
    if (options.json === true) printJson(detail);
    else print(describe(detail));
    await noteStaleKnowledge(to, detail.asset.id);
  });

  forServer(noun.command('retire').description('an asset that is gone for good; its history stays'))
    .argument('<asset>', 'id, or hostname when unique')
    .requiredOption('--reason <text>', 'why, for the audit trail')
    .action(async (reference: string, options: ServerOptions & { reason: string }) => {
      const path = `/api/v1/assets/${encodeURIComponent(reference)}/retire`;
      const retired = await ask(serverOf(options), path, Retired, {
        method: 'POST',
        json: { reason: options.reason },
      });
      if (options.json === true) printJson(retired);
      else print(`Retired ${reference} (${retired.id}); its agent is answered no more, its history stays.`);
    });

  registerForAssets(noun);
}

function executorWords({ manager, held }: NonNullable<AssetDetail['executor']>): string {
  return held === 'real'
    ? `by ${manager}`
    : `by ${manager} (held to recorded outputs only, never tried on a real one)`;
}

function describe({ asset, host, executor, packages, candidates, residue }: AssetDetail): string {
  const count = (n: number, one: string): string => `${String(n)} ${one}${n === 1 ? '' : 's'}`;
  let text = `${asset.hostname}: ${count(asset.open_findings, 'open finding')}, ${String(asset.mitigated_findings)} mitigated, ${String(asset.restart_pending_findings)} waiting for a restart.\n\n`;
  text += facts([
    ['id', asset.id],
    ['system', host?.os_title ?? `${asset.os} ${asset.os_release}`],
    ['architecture', asset.arch],
    [
      'mode',
      asset.mode === 'assess' ? 'assess (reports only, installs nothing)' : 'manage (obeys signed orders)',
    ],
    ['contact', asset.contact],
    ['last seen', absolute(asset.last_seen_at)],
    ['inventory of', absolute(asset.inventory_at)],
    ['enrolled', absolute(asset.enrolled_at)],
    ['agent', asset.agent_version],
    ['criticality', `${String(asset.criticality)} of 5, ${asset.criticality_why}`],
    ['risk', `${asset.risk.toFixed(1)} of 1000`],
    ['tags', asset.tags.length > 0 ? asset.tags.join(', ') : 'none'],
    [
      'packages',
      `${String(packages.length)}, ${count(candidates.length, 'newer version')} offered by its repositories`,
    ],
    ['running kernel', host?.running_kernel ?? null],
    ['machine', host?.machine.replaceAll('_', ' ') ?? null],
    ['booted', host === null ? null : absolute(host.booted_at)],
    ['addresses', host === null ? null : host.addresses.join(', ')],
    ['on hold', host === null || host.held.length === 0 ? null : host.held.join(', ')],
    [
      'reboot required',
      host === null
        ? null
        : host.reboot_required
          ? `yes (${host.reboot_required_by.join(', ') || 'no package named'})`
          : 'no',
    ],
    ['orders', executor === null ? null : executorWords(executor)],
    ['time zone', host?.time_zone ?? null],
    [
      'policy',
      host === null ? null : host.policy === undefined ? 'none' : policyWords(host.policy).join('; '),
    ],
  ]);
  if (residue.length > 0) {
    text += '\nReplaced code that is still there:\n';
    text += table(
      [
        { title: 'PACKAGE', of: (r) => `${r.name} ${r.version ?? '(unknown version)'}` },
        {
          title: 'WHERE',
          of: (r) => (r.process === null ? r.path : `${r.process.command} (pid ${String(r.process.pid)})`),
        },
        { title: 'UNIT', of: (r) => r.process?.unit ?? '-' },
        { title: 'PATH', of: (r) => r.path, yields: 1, least: 20 },
      ] satisfies Column<(typeof residue)[number]>[],
      residue,
    );
  }
  text += `\nfixpoint finding list --asset ${asset.hostname}   shows what is vulnerable on it\n`;
  return text;
}
