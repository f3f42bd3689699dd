import { AssetDetail } from '@fixpoint/contract/asset.ts';
import { Finding } from '@fixpoint/contract/finding.ts';
import { sleep, ticks } from '../clock.ts';
import type { Connection } from '../connection.ts';
import { ask } from '../http-client.ts';
import { fetchList } from '../list.ts';
import { print } from '../output/stream.ts';
import { table, type Column } from '../output/table.ts';
import { styled } from '../output/terminal.ts';
import { dangerStyle, dangerWords, fixStateWords } from '../scan/report.ts';

const topShown = 10;

/** Waits until an asset has been heard since a moment, and its inventory is known; false when that did not come in time. */
export async function awaitInventory(
  to: Connection,
  asset: string,
  since: Date,
  timeoutSeconds: number,
  signal: AbortSignal,
): Promise<boolean> {
  const until = ticks() + timeoutSeconds * 1000;
  while (ticks() < until && !signal.aborted) {
    const { asset: state } = await ask(to, `/api/v1/assets/${asset}`, AssetDetail);
    const heard = state.last_seen_at !== null && Date.parse(state.last_seen_at) >= since.getTime();
    if (heard && state.inventory_at !== null) return true;
    await sleep(300, signal);
  }
  return false;
}

const columns: readonly Column<Finding>[] = [
  { title: 'VULNERABILITY', of: (f) => f.vulnerability, style: (f) => (f.exploited ? 'red' : undefined) },
  { title: 'PACKAGE', of: (f) => f.package },
  {
    title: 'INSTALLED → PATCH',
    of: (f) =>
      `${f.evidence.installed_version ?? '?'} → ${f.patch?.version ?? fixStateWords[f.fix_state] ?? '?'}`,
  },
  { title: 'DANGER', of: dangerWords, style: dangerStyle },
  { title: 'WHY IT MATTERS', of: matters, yields: 1, least: 24 },
];

function matters(f: Finding): string {
  const parts = [
    f.exploited ? `attackers use it now${f.ransomware ? ', ransomware too' : ''}` : '',
    f.status === 'restart_pending' ? 'fixed on disk, old code still runs' : '',
    f.status === 'reboot_pending' ? 'fixed on disk, old kernel still runs' : '',
    f.cvss === null ? '' : `CVSS ${f.cvss.toFixed(1)}`,
    f.title ?? '',
  ];
  return parts.filter((part) => part !== '').join('; ') || '-';
}

/** How many findings this machine has, what closes them, and the most dangerous ones. */
export async function printFirstLook(to: Connection, asset: string): Promise<void> {
  const { items, total } = await fetchList(to, '/api/v1/findings', Finding, { asset }, { all: true });
  const unjudged = items.filter((f) => f.status === 'undetermined').length;
  const patched = items.filter((f) => f.patch !== null);
  const patches = new Set(patched.map((f) => f.patch?.id));
  const exploited = items.filter((f) => f.exploited).length;
  const unfixed = items.filter((f) => f.patch === null && f.status !== 'undetermined').length;
  const noun = total === 1 ? 'finding' : 'findings';
  if (total === 0) {
    print(`\n${styled('bold', 'This machine has no known vulnerability.')}`);
    return;
  }
  print(
    `\n${styled('bold', `This machine has ${String(total)} ${noun}: ${String(patched.length)} ${patched.length === 1 ? 'is' : 'are'} closed by ${String(patches.size)} ${patches.size === 1 ? 'patch' : 'patches'}, ${String(unfixed)} ${unfixed === 1 ? 'has' : 'have'} no fix yet${unjudged === 0 ? '' : `, ${String(unjudged)} could not be judged`}.`)}${exploited > 0 ? ` ${String(exploited)} ${exploited === 1 ? 'is' : 'are'} exploited now.` : ''}`,
  );
  const top = [...patched, ...items.filter((f) => f.patch === null)].slice(0, topShown);
  print(`The most dangerous${patched.length > 0 ? ' that have a patch' : ''}:\n`);
  print(table(columns, top));
}
