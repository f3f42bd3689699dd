/**
 * `npm run lab`: a fleet of real Debian hosts with real vulnerable versions, patched by the product while you watch.
 * Needs root on Linux. Everything is taken away again at the end, also after Ctrl-C.
 *
 *     npm run lab -- [--hosts N] [--keep]      --keep leaves it running, with the address to look at, until Ctrl-C
 */
import { parseArgs } from 'node:util';
import { monotonicSeconds, sleep } from './clock.ts';
import { startLab, type Lab } from './fleet.ts';
import { createJob, findings, newestPatch, preview, startJob, trail, watchDeployment } from './patching.ts';
import { describeMissing, prerequisites } from './prerequisites.ts';
import { agentBinary, enrolHosts, startProduct, type Product } from './product.ts';

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const started = monotonicSeconds();
const say = (line: string): void => {
  console.log(`${(monotonicSeconds() - started).toFixed(1).padStart(6)} s  ${line}`);
};
const heading = (text: string): void => {
  console.log(`\n${text}\n${'─'.repeat(text.length)}`);
};

async function countOpen(product: Product): Promise<string> {
  const all = await findings(product, 'tag=lab');
  const fixable = all.filter(
    (finding) => finding.patch?.offered === true && finding.status !== 'undetermined',
  );
  const waiting = all.filter((finding) => finding.status === 'restart_pending').length;
  return `${all.length} findings, ${fixable.length} with a patch that the hosts' repositories offer, ${waiting} waiting for a restart`;
}

/** A vulnerability from detection to verification, as the audit trail has it. */
async function tellStory(
  product: Product,
  vulnerability: string,
  tasks: readonly { id: string; asset_id: string; hostname: string }[],
): Promise<void> {
  heading(`5 · Audit: the story of ${vulnerability}`);
  const nameOf = new Map(
    tasks.flatMap((task) => [
      [task.asset_id, task.hostname],
      [task.id, `task of ${task.hostname}`],
    ]),
  );
  for (const event of await trail(product, `vulnerability=${vulnerability}`)) {
    const by = nameOf.get(event.actor) ?? event.actor;
    const what = nameOf.get(event.subject) ?? event.subject_kind;
    const line = [
      String(event.sequence).padStart(4),
      event.at.slice(11, 19),
      event.event.padEnd(23),
      what.padEnd(16),
      `by ${by}`,
    ];
    console.log(`          ${line.join('  ')}`);
  }
}

async function demonstrate(lab: Lab, product: Product, hostCount: number): Promise<boolean> {
  heading('1 · Detect: boot a fleet with vulnerable versions and enrol it');
  for (const past of lab.base.past) {
    say(`every host has ${past.name} ${past.installed}; its repositories offer ${past.candidate}`);
  }
  const binary = await agentBinary(say);
  const hosts = await lab.bootHosts(Array.from({ length: hostCount }, (_, i) => ({ name: `web-${i + 1}` })));
  await enrolHosts(product, binary, hosts, { tags: ['lab'], mode: 'manage' });
  say(`enrolled ${hosts.map((host) => host.name).join(', ')} under the tag “lab”`);
  say(await countOpen(product));

  heading('2 · Correlate: the most dangerous findings and the patch that closes each');
  const open = await findings(product, 'tag=lab');
  const shown = new Set<string>();
  for (const finding of open) {
    const line = `${finding.vulnerability.padEnd(16)} ${finding.package.padEnd(10)} ${finding.patch?.offered === true ? `→ ${finding.patch.version}` : '(no patch offered)'}  ${finding.title ?? ''}`;
    if (finding.patch?.offered === true) shown.add(line.slice(0, 110).trimEnd());
    if (shown.size === 8) break;
  }
  for (const line of shown) console.log(`          ${line}`);

  heading('3 · Deploy: one job, the plan first');
  const patches = await Promise.all(['openssl', 'curl'].map((name) => newestPatch(product, name)));
  const job = await createJob(product, { name: 'openssl and curl', patches, tags: ['lab'] });
  const plan = await preview(product, job.id);
  for (const task of plan.tasks) {
    say(
      `${task.hostname}: ${task.packages.map((p) => `${p.name} ${p.from} → ${p.to}`).join(', ')}; closes ${task.fixes.length} findings`,
    );
  }
  for (const excluded of plan.excluded) say(`${excluded.hostname}: left out, ${excluded.message}`);
  say(`plan ${plan.digest.slice(0, 16)}… is what the deployment will do and nothing else`);
  const deployment = await startJob(product, job.id, plan.digest);
  const ended = await watchDeployment(product, deployment, {
    timeoutSeconds: 300,
    onChange(hostname, state, message) {
      say(`${hostname}: ${state.replaceAll('_', ' ')}${message === '' ? '' : ` (${message})`}`);
    },
  });

  heading('4 · Verify: what the re-scan says');
  say(
    `deployment ${ended.deployment.state}: ${Object.entries(ended.deployment.tasks)
      .map(([state, n]) => `${n} ${state}`)
      .join(', ')}`,
  );
  say(await countOpen(product));
  const promised = new Set(ended.tasks.flatMap((task) => task.fixes));
  const example = open.find(
    (finding) => finding.package === 'openssl' && promised.has(finding.vulnerability),
  );
  if (example !== undefined) await tellStory(product, example.vulnerability, ended.tasks);
  return ended.tasks.every((task) => task.state === 'succeeded');
}

async function main(): Promise<number> {
  if (values.help) {
    console.log('npm run lab -- [--hosts N] [--keep]');
    return 0;
  }
  const hostCount = Number(values.hosts);
  if (!Number.isInteger(hostCount) || hostCount < 1 || hostCount > 24) {
    console.error('error: --hosts takes a number from 1 to 24');
    return 2;
  }
  const missing = describeMissing(await prerequisites());
  if (missing !== undefined) {
    console.error(missing);
    return 2;
  }
  const lab = await startLab({ onProgress: say });
  let product: Product | undefined;
  try {
    product = await startProduct({
      address: lab.network.address,
      origins: [],
    });
    const ok = await demonstrate(lab, product, hostCount);
    if (values.keep) {
      say(`still running at ${product.url}; token in ${product.dataFolder}/operator-token; Ctrl-C ends it`);
      for (;;) await sleep(3600);
    }
    return ok ? 0 : 6;
  } finally {
    await product?.stop();
    await lab.stop();
    say('everything is taken away again');
  }
}

process.exitCode = await main();
