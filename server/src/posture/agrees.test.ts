/**
 * Whatever happens to the fleet, its model in memory is what the database says: after each of a random sequence of inventories,
 * imports, edits of tags, acceptances and restarts, it is compared with a model that is loaded anew, and its findings with those
 * that PostgreSQL derives by itself.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { assetSet, serialise } from '@fixpoint/core/posture/asset-set.ts';
import type { Residue } from '@fixpoint/core/inventory/inventory.ts';
import { AgentDouble, debianPackage, type HostDouble } from '../deployment/agent-double.ts';
import { debianTracker } from '../feed/debian-tracker/debian-tracker.ts';
import { cisaKev } from '../feed/cisa-kev/cisa-kev.ts';
import { madeUpFile } from '../feed/recorded.ts';
import { importFeed } from '../knowledge/import.ts';
import { retireAsset } from '../asset/list.ts';
import { rooms } from '../rooms.ts';
import { testApp, type TestApp } from '../test-app.ts';
import { expectAgreement } from './test-agreement.ts';
import { openPosture } from './open.ts';
import type { Posture } from './posture.ts';

const actor = { kind: 'system', name: 'test' } as const;
const cves = ['CVE-2026-1001', 'CVE-2026-1002', 'CVE-2026-1003', 'CVE-2026-1004'];
const sources = ['openssl', 'curl', 'linux'];
const versions = ['1.0-1', '2.0-1', '3.0-1'];

let app: TestApp;
beforeAll(async () => {
  app = await testApp(rooms);
});
afterAll(async () => await app.close());

function packagesOf({ openssl, curl, kernels }: HostChoice): HostDouble['packages'] {
  return [
    debianPackage('bash', '5.2-1'),
    ...(openssl === null
      ? []
      : [debianPackage('libssl3', openssl, 'openssl'), debianPackage('openssl', openssl)]),
    ...(curl === null ? [] : [debianPackage('curl', curl)]),
    ...kernels.map((version) =>
      debianPackage(`linux-image-6.1.0-${version.charAt(0)}-amd64`, version, 'linux'),
    ),
  ];
}

interface HostChoice {
  readonly openssl: string | null;
  readonly curl: string | null;
  readonly kernels: readonly string[];
  readonly running: string | null;
  readonly stale: string | null;
}

const version = fc.constantFrom(...versions);
const host: fc.Arbitrary<HostChoice> = fc.record({
  openssl: fc.option(version),
  curl: fc.option(version),
  kernels: fc.subarray(versions),
  running: fc.option(version),
  stale: fc.option(version),
});

function reported({ stale, running, kernels, ...choice }: HostChoice): HostDouble {
  const residue: Residue[] =
    stale === null || choice.openssl === null || stale === choice.openssl
      ? []
      : [
          {
            kind: 'process',
            name: 'libssl3',
            arch: 'amd64',
            version: stale,
            source: 'openssl',
            source_version: stale,
            path: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
            process: { pid: 7, command: 'nginx', unit: 'nginx.service', started_at: '2026-03-01T00:00:00Z' },
            alteration: null,
          },
        ];
  return {
    packages: packagesOf({ ...choice, kernels, running, stale }),
    candidates: [],
    residue,
    held: [],
    facts: {
      machine: 'physical_or_virtual',
      running_kernel: `6.1.0-${(running ?? '9').charAt(0)}-amd64`,
      kernels: kernels.map((one) => ({
        name: `linux-image-6.1.0-${one.charAt(0)}-amd64`,
        version: one,
        source: 'linux',
        source_version: one,
        release: `6.1.0-${one.charAt(0)}-amd64`,
      })),
    },
  };
}

type Step =
  | { readonly do: 'inventory'; readonly asset: number; readonly host: HostChoice }
  /** Everything is replaced by this version, which may be as vulnerable. */
  | { readonly do: 'upgrade'; readonly asset: number; readonly version: string }
  | {
      readonly do: 'import';
      readonly fixes: Readonly<Record<string, string | null>>;
      readonly which: readonly string[];
    }
  | { readonly do: 'exploited'; readonly which: readonly string[] }
  | { readonly do: 'tag'; readonly name: string; readonly rule: string | null }
  | { readonly do: 'accept'; readonly scope: string; readonly days: number }
  | { readonly do: 'criticality'; readonly asset: number; readonly level: number | null }
  | { readonly do: 'retire'; readonly asset: number }
  | { readonly do: 'pass'; readonly hours: number }
  | { readonly do: 'restart' };

const assetCount = 4;
const asset = fc.nat(assetCount - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('inventory' as const), asset, host }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('upgrade' as const), asset, version }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('import' as const),
      which: fc.subarray(cves, { minLength: 1 }),
      fixes: fc.dictionary(fc.constantFrom(...sources), fc.option(version), { minKeys: 1 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('exploited' as const),
      which: fc.subarray(cves, { minLength: 1 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('tag' as const),
      name: fc.constantFrom('a', 'b'),
      rule: fc.constantFrom(
        null,
        'package.name = curl',
        'hostname = host-1 or open_findings > 2',
        'risk > 30',
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('accept' as const),
      scope: fc.constantFrom(
        'vulnerability = CVE-2026-1001',
        'package.name = linux and asset.hostname = host-2',
      ),
      days: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('criticality' as const),
      asset,
      level: fc.constantFrom(null, 1, 5),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retire' as const), asset }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), hours: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
);

/** Vulnerable software that is replaced by what is vulnerable too: at random it comes to that in few runs. */
const replaced: readonly Step[] = [
  {
    do: 'inventory',
    asset: 0,
    host: { openssl: '1.0-1', curl: '1.0-1', kernels: ['1.0-1'], running: '1.0-1', stale: null },
  },
  { do: 'import', which: cves, fixes: { openssl: null, curl: '3.0-1', linux: null } },
  { do: 'pass', hours: 1 },
  { do: 'upgrade', asset: 0, version: '2.0-1' },
  { do: 'restart' },
  { do: 'upgrade', asset: 0, version: '3.0-1' },
];

class World {
  readonly agents: (AgentDouble | null)[] = [];
  readonly run: number;
  posture: Posture;
  /** Another server's: it is asked now and then only, and never begins anew. */
  readonly beside: Posture;

  constructor(run: number) {
    this.run = run;
    this.posture = openPosture(app.context, app.database.pool);
    this.beside = openPosture(app.context, app.database.pool);
  }

  async carryOut(one: Step): Promise<void> {
    const { db } = app.database;
    switch (one.do) {
      case 'inventory': {
        const agent = this.agents[one.asset] ?? null;
        if (agent === null) {
          const name = `host-${one.asset}-${this.run}`;
          this.agents[one.asset] = await AgentDouble.enrol(app, name, reported(one.host));
          return;
        }
        Object.assign(agent.host, reported(one.host));
        await agent.sendInventory();
        return;
      }
      case 'upgrade': {
        const agent = this.agents[one.asset] ?? null;
        if (agent === null) return;
        app.clock.pass(600);
        await agent.openSession();
        const { version: to } = one;
        const all = { openssl: to, curl: to, kernels: [to], running: to, stale: null };
        Object.assign(agent.host, reported(all));
        await agent.sendInventory();
        return;
      }
      case 'import': {
        const release = (fixed: string | null) =>
          fixed === null ? { status: 'open' } : { status: 'resolved', fixed_version: fixed };
        const tracker = Object.fromEntries(
          Object.entries(one.fixes).map(([source, fixed]) => [
            source,
            Object.fromEntries(one.which.map((cve) => [cve, { releases: { bookworm: release(fixed) } }])),
          ]),
        );
        await this.import(debianTracker, JSON.stringify(tracker));
        return;
      }
      case 'exploited': {
        const vulnerabilities = one.which.map((cveID) => ({
          cveID,
          vendorProject: 'x',
          product: 'x',
          vulnerabilityName: `flaw ${cveID}`,
          dateAdded: '2026-01-01',
          shortDescription: '',
          requiredAction: '',
          dueDate: '2026-02-01',
          knownRansomwareCampaignUse: 'Known',
          notes: '',
          cwes: [],
        }));
        await this.import(
          cisaKev,
          JSON.stringify({
            title: 'x',
            catalogVersion: '2026.01.01',
            dateReleased: '2026-01-01T00:00:00.000Z',
            count: vulnerabilities.length,
            vulnerabilities,
          }),
        );
        return;
      }
      case 'tag': {
        await db.deleteFrom('tag').where('name', '=', one.name).execute();
        const now = app.clock.now();
        await db
          .insertInto('tag')
          .values({
            id: app.context.random.uuid(),
            name: one.name,
            kind: one.rule === null ? 'list' : 'rule',
            rule: one.rule,
            members: Buffer.from(serialise(assetSet(one.rule === null ? [1, 2] : []))),
            members_at: now,
            created_by: 'test',
            created_at: now,
            updated_at: now,
          })
          .execute();
        return;
      }
      case 'accept': {
        const now = app.clock.now();
        await db
          .insertInto('risk_acceptance')
          .values({
            id: app.context.random.uuid(),
            scope: one.scope,
            reason: 'r',
            owner: 'o',
            created_by: 'test',
            created_at: now,
            starts_at: now,
            expires_at: new Date(now.getTime() + one.days * 86_400_000),
          })
          .execute();
        return;
      }
      case 'criticality': {
        const uid = this.agents[one.asset]?.uid;
        if (uid === undefined) return;
        await db.updateTable('asset').set({ criticality_set: one.level }).where('uid', '=', uid).execute();
        return;
      }
      case 'retire': {
        const uid = this.agents[one.asset]?.uid;
        if (uid === undefined) return;
        const retired = await retireAsset(app.context, actor, uid, 'test');
        if (!retired.ok) throw new Error(retired.message);
        this.agents[one.asset] = null;
        return;
      }
      case 'pass':
        app.clock.pass(one.hours * 3600);
        for (const agent of this.agents) await agent?.openSession();
        return;
      case 'restart':
        await this.posture.stop();
        this.posture = openPosture(app.context, app.database.pool);
        return;
      default:
        one satisfies never;
    }
  }

  private async import(feed: Parameters<typeof importFeed>[1], text: string): Promise<void> {
    const imported = await importFeed(app.context, feed, madeUpFile(text), { actor, allowShrink: true });
    if (!imported.ok) throw new Error(imported.message);
  }

  async compare(): Promise<void> {
    await expectAgreement(app.database.pool, await this.posture.fresh(), app.clock.now());
  }
}

test('the model is what the database says, whatever happens', { timeout: 240_000 }, async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 18 }), async (steps) => {
      const world = new World((run += 1));
      try {
        await world.compare();
        await world.beside.fresh();
        for (const one of steps) {
          await world.carryOut(one);
          await world.compare();
        }
        await expectAgreement(app.database.pool, await world.beside.fresh(), app.clock.now());
      } finally {
        await world.posture.stop();
        await world.beside.stop();
      }
    }),
    { numRuns: Number(process.env['FIXPOINT_RUNS'] ?? 12), endOnFailure: true, examples: [[[...replaced]]] },
  );
});
