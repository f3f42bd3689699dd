import type { Prestaged } from '@fixpoint/contract/distribution.ts';
import type { ServerContext } from '../app.ts';
import type { Distribution } from './distribution.ts';
import {
  findPackages,
  keyOf,
  readIndex,
  repositoryOfIndex,
  type PackageFile,
  type WantedPackage,
} from './packages-index.ts';
import { nearest, workingPoints } from './points.ts';
import { findFile } from './repositories.ts';
import { openTaskAssets, wantedPackages } from './store.ts';
import { createWarming, type Warming } from './warming.ts';

/**
 * Fetching ahead what running deployments need, at the server and, by what they are told at their heartbeats, at the points near
 * the hosts. Which file a package is, the lists of packages say that hosts have loaded through the point; what stands in none
 * of them is counted and left alone: it is fetched when a host asks for it.
 */
export interface Prestaging {
  attach(distribution: Distribution): void;
  start(): void;
  stop(): Promise<void>;
  status(): Prestaged;
  /** What the point with this id is to fetch. */
  forPoint(id: string): { readonly wanted: readonly string[]; readonly unresolved: number };
}

const everySeconds = 10;
/** Of one point, at a time. */
const filesMaximum = 5_000;
const indexesMaximum = 200;

interface Wanted {
  readonly wanted: readonly string[];
  readonly unresolved: number;
}
const nothing: Wanted = { wanted: [], unresolved: 0 };

export function createPrestaging(context: ServerContext, open: () => Promise<Distribution>): Prestaging {
  let warming: Warming | null = null;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  let stopped = false;
  let forPoints = new Map<string, Wanted>();
  /** Key of a package → its file, as long as it is wanted. */
  const files = new Map<string, PackageFile>();
  const expected = new Map<string, string>();
  /** Hash of a list → the packages that were looked for in it. */
  const searched = new Map<string, Set<string>>();

  /** Looks for packages in the lists that were not searched for them yet. */
  async function resolve(point: Distribution, packages: readonly WantedPackage[]): Promise<void> {
    const missing = packages.map(keyOf).filter((key) => !files.has(key));
    if (missing.length === 0) return;
    const indexes = await point.index.containing('/binary-');
    for (const { url, sha256, bytes } of indexes.slice(-indexesMaximum)) {
      const repository = repositoryOfIndex(url);
      if (repository === null) continue;
      const before = searched.get(sha256) ?? new Set<string>();
      const keys = missing.filter((key) => !before.has(key) && !files.has(key));
      if (keys.length === 0) continue;
      const opened = await point.cache.open(sha256, bytes);
      if (opened === null) continue;
      const text = await readIndex(point.cache.path(sha256));
      await opened.close();
      searched.set(sha256, new Set([...before, ...keys]));
      if (text === null) continue;
      for (const [key, file] of findPackages(text, repository, new Set(keys))) {
        if (findFile(point.repositories(), file.url) === null) continue;
        files.set(key, file);
        if (file.sha256 !== null) expected.set(file.url, file.sha256);
      }
    }
  }

  function wantedOf(packages: readonly WantedPackage[]): Wanted {
    const found = packages.flatMap((one) => files.get(keyOf(one)) ?? []);
    const wanted = [...new Set(found.map((file) => file.url))].slice(0, filesMaximum);
    return { wanted, unresolved: packages.length - found.length };
  }

  /** For each point that works, what the hosts near it are to install. */
  async function packagesOfPoints(): Promise<Map<string, WantedPackage[]>> {
    const points = await workingPoints(context, context.db);
    const near = new Map<string, number[]>();
    if (points.length === 0) return new Map();
    for (const { assetId, addresses } of await openTaskAssets(context.db)) {
      const point = nearest(points, addresses);
      if (point !== null) near.set(point.id, [...(near.get(point.id) ?? []), assetId]);
    }
    const packages = new Map<string, WantedPackage[]>();
    for (const [id, assetIds] of near) packages.set(id, await wantedPackages(context.db, assetIds));
    return packages;
  }

  async function lookOnce(): Promise<void> {
    const packages = await wantedPackages(context.db, null);
    if (packages.length === 0) {
      forPoints = new Map();
      files.clear();
      searched.clear();
      expected.clear();
      warming?.want([], 0);
      return;
    }
    const point = await open();
    await resolve(point, packages);
    const own = wantedOf(packages);
    warming?.want(own.wanted, own.unresolved);
    const byPoint = await packagesOfPoints();
    forPoints = new Map([...byPoint].map(([id, theirs]) => [id, wantedOf(theirs)]));
  }

  function later(): void {
    timer = setTimeout(
      () => {
        looking = lookOnce()
          .catch((error: unknown) => {
            context.log.warn({ err: error }, 'what deployments need could not be looked up');
          })
          .finally(() => {
            if (!stopped) later();
          });
      },
      Math.min(everySeconds, context.config.checkInSeconds) * 1000,
    );
    timer.unref();
  }

  return {
    attach(distribution) {
      warming = createWarming(distribution, context.log);
      distribution.expectHash((url) => expected.get(url) ?? null);
    },
    start() {
      if (timer === undefined && !stopped) later();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      warming?.stop();
      await looking;
    },
    status: () => warming?.status() ?? { wanted: 0, ready: 0, failed: 0, unresolved: 0 },
    forPoint: (id) => forPoints.get(id) ?? nothing,
  };
}
