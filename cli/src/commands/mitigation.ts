import type { Command } from 'commander';
import { MitigationView } from '@fixpoint/contract/mitigation.ts';
import { stepTarget } from '@fixpoint/core/mitigation/grammar.ts';
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

type Step = MitigationView['steps'][number];

const columns: readonly Column<MitigationView>[] = [
  { title: 'MITIGATION', of: (m) => m.id },
  { title: 'WHAT', of: (m) => m.title, yields: 1, least: 24 },
  { title: 'BLOCKS', of: (m) => some(m, 'blocks'), yields: 2, least: 14 },
  { title: 'REDUCES', of: (m) => some(m, 'reduces'), yields: 3, least: 14 },
  {
    title: 'FOR',
    of: (m) => [...new Set(m.applies_to.map((s) => s.ecosystem))].join(', '),
    yields: 4,
    least: 8,
  },
  { title: 'ASSETS', of: (m) => String(m.assets), align: 'right' },
];

function of(m: MitigationView, effect: 'blocks' | 'reduces'): string[] {
  return m.mitigates.filter((one) => one.effect === effect).map((one) => one.vulnerability);
}

/** The first few, and how many more: `mitigation show` has all. */
function some(m: MitigationView, effect: 'blocks' | 'reduces'): string {
  const all = of(m, effect);
  if (all.length === 0) return '-';
  const first = all.slice(0, 2).join(', ');
  return all.length > 2 ? `${first} and ${String(all.length - 2)} more` : first;
}

export function register(noun: Command): void {
  forList(
    noun
      .command('list')
      .description('reviewed configuration changes that keep vulnerabilities from being used'),
  )
    .option('--vulnerability <id>', 'only those against this one, such as CVE-2024-6387')
    .action(async (options: ListOptions & { vulnerability?: string }) => {
      const query = { vulnerability: options.vulnerability };
      const list = await fetchList(serverOf(options), '/api/v1/mitigations', MitigationView, query, options);
      printList(list, columns, options, 'No such mitigation.');
    });
  forServer(
    noun
      .command('show')
      .description('one mitigation: what it changes, against what, and what stops working')
      .argument('<mitigation>', 'such as sshd-login-grace-time'),
  ).action(async (reference: string, options: ServerOptions) => {
    const id = reference.replace(/^mitigation:/u, '');
    const mitigation = await ask(
      serverOf(options),
      `/api/v1/mitigations/${encodeURIComponent(id)}`,
      MitigationView,
    );
    if (options.json === true) printJson(mitigation);
    else print(describe(mitigation));
  });
}

function stepWords(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return `${step.key} = ${step.value}`;
    case 'kernel_module_blacklist':
      return `${step.module} is not loaded`;
    case 'service_setting':
      return `${stepTarget(step)}: ${step.value}`;
    case 'registry_value':
      return `${stepTarget(step)} = ${step.value} (${step.type})`;
  }
}

function describe(m: MitigationView): string {
  const units = m.restart_units.map((one) => `${one.unit} (${one.how})`).join(', ');
  const scopes = m.applies_to.map(
    (s) =>
      `${s.ecosystem}${s.releases.length === 0 ? '' : ` ${s.releases.join(', ')}`}: ${s.packages.join(', ')}`,
  );
  return `${m.title}.\n\n${m.description}\n\n${facts([
    ['id', m.patch_id],
    ...m.steps.map((step) => ['changes', stepWords(step)] as const),
    ['takes effect by', units === '' ? (m.reboot ? 'a reboot' : 'itself') : units],
    ...m.mitigates.map((one) => [one.effect, `${one.vulnerability}: ${one.condition}`] as const),
    ...scopes.map((scope) => ['for', scope] as const),
    ['side effects', m.side_effects],
    ['in force on', `${String(m.assets)} asset${m.assets === 1 ? '' : 's'}`],
    ...m.sources.map((url) => ['source', url] as const),
    ['reviewed', `${m.reviewed_on} by ${m.reviewed_by}`],
  ])}\nIt does not fix the software: deploy the patch as soon as there is one.\nfixpoint job create --mitigation ${m.id} --target tag:NAME --preview   shows what applying it would do\n`;
}
