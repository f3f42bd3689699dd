/**
 * The closed loop on hosts of dnf and zypper: a real server, the agent as it is shipped on a system of rpm (`rpm-root.ts`), a
 * vulnerability in the vendor's published format, an order, the real package manager, verified by the re-scan; and all put back.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Type } from 'typebox';
import { TokenCreated } from '@fixpoint/contract/access.ts';
import { FeedImport } from '@fixpoint/contract/feed.ts';
import { PatchJob, TaskDetail, type PatchJobDefinition } from '@fixpoint/contract/patch-job.ts';
import { Tag } from '@fixpoint/contract/tag.ts';
import { waitFor } from './clock.ts';
import {
  findings,
  newestPatch,
  onlyTask,
  preview,
  startJob,
  taskDetail,
  watchDeployment,
} from './patching.ts';
import { describeMissing, prerequisites } from './prerequisites.ts';
import { agentBinary, startProduct, type Product } from './product.ts';
import { hasRpmTools, rpmPackages, runInRpmRoot, type RpmPackage } from './rpm-root.ts';

const missing =
  describeMissing(await prerequisites()) ??
  ((await hasRpmTools())
    ? undefined
    : `THE TESTS OF RPM HOSTS ARE SKIPPED: apt-get install ${rpmPackages.join(' ')}`);

const agent = '/usr/local/bin/fixpoint-agent';

interface Host {
  readonly manager: 'dnf' | 'zypper';
  readonly feed: string;
  readonly ecosystem: string;
  readonly vendor: string;
  readonly files: Readonly<Record<string, string>>;
  readonly prepare: string;
}

const hosts: readonly Host[] = [
  {
    manager: 'dnf',
    feed: 'rocky-osv',
    ecosystem: 'Rocky Linux:9',
    vendor: 'Rocky Enterprise Software Foundation',
    prepare: 'rm -f /usr/bin/zypper',
    files: {
      '/etc/os-release':
        'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"\n',
      '/etc/dnf/dnf.conf': '[main]\ngpgcheck=0\nplugins=0\n',
      '/etc/dnf/vars/releasever': '9.4',
      '/etc/yum.repos.d/lab.repo': '[lab]\nname=lab\nbaseurl=file:///srv/repository\n',
    },
  },
  {
    manager: 'zypper',
    feed: 'opensuse-osv',
    ecosystem: 'openSUSE:Leap 15.5',
    vendor: 'SUSE LLC <https://www.suse.com/>',
    prepare: 'zypper --non-interactive --no-gpg-checks refresh >&2',
    files: {
      '/etc/os-release':
        'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.5"\nPRETTY_NAME="openSUSE Leap 15.5"\n',
      '/etc/zypp/repos.d/lab.repo':
        '[lab]\nname=lab\nenabled=1\nautorefresh=0\nbaseurl=dir:///srv/repository\ngpgcheck=0\n',
    },
  },
];

/** One record of OSV as the vendor's export has them; ids of a year that assigns none. */
function record(host: Host, name: string): string {
  const at = '1999-01-01T00:00:00Z';
  return `${JSON.stringify({
    schema_version: '1.6.0',
    id: host.feed === 'rocky-osv' ? 'RLSA-1999:9001' : 'openSUSE-SU-1999:9001-1',
    modified: at,
    published: at,
    related: ['CVE-1999-9501'],
    upstream: ['CVE-1999-9501'],
    summary: 'package of the Fixpoint lab',
    details: 'package of the Fixpoint lab',
    affected: [
      {
        package: { ecosystem: host.ecosystem, name, purl: `pkg:rpm/lab/${name}` },
        ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '1:1.1-1.el9' }] }],
      },
    ],
  })}\n`;
}

const packagesOf = (name: string, vendor: string): RpmPackage[] =>
  ['1.0', '1.1'].map((version) => ({
    name,
    epoch: '1',
    version,
    release: '1.el9',
    vendor,
    files: { [`/usr/libexec/${name}`]: { program: true }, '/etc/acme.conf': `version=${version}` },
    configuration: ['/etc/acme.conf'],
  }));

const Assets = Type.Object({ items: Type.Array(Type.Object({ id: Type.String() })) });

describe.skipIf(missing !== undefined)('the closed loop on hosts of rpm', () => {
  let product: Product;
  let binary: string;

  beforeAll(async () => {
    binary = await agentBinary(() => undefined);
    product = await startProduct({ address: '127.0.0.1', origins: [] });
  }, 120_000);
  afterAll(async () => {
    await product?.stop();
  });

  test.each(hosts)(
    '$manager: found, ordered, installed, verified, and put back',
    async (host) => {
      const name = `acme-${host.manager}`;
      await product.api.post('/api/v1/tags', { name: host.manager }, Tag);
      await product.api.upload(
        `/api/v1/feeds/${host.feed}/import?name=lab.jsonl`,
        record(host, name),
        FeedImport,
      );
      const { secret } = await product.api.post(
        '/api/v1/enrolment-tokens',
        { name: host.manager, uses: 1, expires_in_minutes: 30, tags: [host.manager] },
        TokenCreated,
      );
      const running = runInRpmRoot({
        packages: packagesOf(name, host.vendor),
        programs: { [agent]: binary },
        files: host.files,
        timeoutSeconds: 110,
        script: `
${host.prepare}
rpm --install /srv/repository/${name}-1.0-*.rpm 2>/dev/null
echo 'by hand' > /etc/acme.conf
${agent} enroll --server ${product.url} --token ${secret} --mode manage --state /srv/state >&2
${agent} status --state /srv/state > /srv/out/status
${agent} run --state /srv/state > /srv/out/log 2>&1 & agent=$!
for i in $(seq 180); do
  [ "$(grep -c '"ended": true' /srv/out/after 2>/dev/null)" = 2 ] && break
  sleep 0.5
  ${agent} status --json --state /srv/state > /srv/out/after 2>/dev/null || true
done
sleep 2
kill $agent
rpm -qa > /srv/out/installed
cp /etc/acme.conf /srv/out/conf
`,
      });
      try {
        const found = await waitFor(
          'the finding',
          async () => {
            const { items } = await product.api.get(`/api/v1/assets?tag=${host.manager}`, Assets);
            const open = await findings(product, `package=${name}&vulnerability=CVE-1999-9501&status=open`);
            return items.length > 0 && open.length > 0 ? open : undefined;
          },
          { timeoutSeconds: 60, everySeconds: 0.5 },
        );
        expect(found[0]?.evidence.sentence).toContain('1:1.0-1.el9');
        const patch = await newestPatch(product, name);
        const definition: PatchJobDefinition = {
          name,
          trigger: 'manual',
          patches: [patch],
          target: { tags: [host.manager], assets: [], exclude: [] },
          units: 'restart',
          rollback: { on: 'any_failure', method: 'packages', required: true },
          install_timeout_seconds: 120,
          expire_after_seconds: 3_600,
          concurrency: 10,
        };
        const job = await product.api.post('/api/v1/jobs', definition, PatchJob);
        await waitFor(
          'a plan',
          async () => ((await preview(product, job.id)).tasks.length === 1 ? true : undefined),
          { timeoutSeconds: 30, everySeconds: 0.5 },
        );
        const deployment = await startJob(product, job.id);
        await watchDeployment(product, deployment, { timeoutSeconds: 60, onChange: () => undefined });
        const detail = await onlyTask(product, deployment);
        expect(detail.task.reason, JSON.stringify(detail.task)).toBeNull();
        expect(detail.task.state).toBe('succeeded');
        expect(await findings(product, `package=${name}&status=open`)).toEqual([]);

        await product.api.post(
          `/api/v1/tasks/${detail.task.id}/actions`,
          { action: 'roll_back', reason: 'lab' },
          TaskDetail,
        );
        await waitFor(
          'the rollback',
          async () => {
            const { task } = await taskDetail(product, detail.task.id);
            if (task.state === 'failed') throw new Error(JSON.stringify(task));
            return task.state === 'rolled_back' ? true : undefined;
          },
          { timeoutSeconds: 60, everySeconds: 0.3 },
        );
        expect(await findings(product, `package=${name}&status=open`)).toHaveLength(1);
      } finally {
        const { out, result } = await running;
        expect(out.get('status'), result.stderr).toContain(`orders  by ${host.manager}\n`);
        expect(out.get('installed'), out.get('log')).toContain(`${name}-1.0-1.el9.x86_64`);
        expect(out.get('installed')).not.toContain(`${name}-1.1`);
        expect(out.get('conf')).toBe('by hand\n');
      }
    },
    150_000,
  );
});
