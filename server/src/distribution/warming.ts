import type { Logger } from 'pino';
import type { Prestaged } from '@fixpoint/contract/distribution.ts';
import type { Distribution } from './distribution.ts';
import { findFile } from './repositories.ts';

/** Fetches files before anybody asks for them: one after another, and behind all that somebody waits for. */
export interface Warming {
  /** What is wanted from now on, instead of what was; files that are no longer wanted may be removed to make room. */
  want(urls: readonly string[], unresolved: number): void;
  status(): Prestaged;
  stop(): void;
}

/** A file that could not be fetched is tried again when it is wanted anew, and at most so often. */
const attemptsMaximum = 3;

export function createWarming(point: Distribution, log: Logger): Warming {
  let wanted: readonly string[] = [];
  let unresolved = 0;
  let stopped = false;
  let working = false;
  /** URL → SHA-256. */
  const ready = new Map<string, string>();
  const failures = new Map<string, number>();

  async function fetchOne(url: string): Promise<void> {
    const file = findFile(point.repositories(), url);
    if (file === null) throw new Error('it is in none of the repositories');
    if (file.repository.folder !== null) {
      ready.set(url, '');
      return;
    }
    const found = await point.find(file, 'low');
    if (found.kind === 'cached') ready.set(url, found.file.sha256);
    else if (found.kind === 'arriving') ready.set(url, (await found.download.done).sha256);
    else throw new Error(found.kind === 'failed' ? found.message : 'the repository does not have it');
    point.keepContents(new Set(ready.values()));
  }

  async function work(): Promise<void> {
    for (;;) {
      const next = wanted.find((url) => !ready.has(url) && (failures.get(url) ?? 0) < attemptsMaximum);
      if (next === undefined || stopped) return;
      try {
        await fetchOne(next);
      } catch (error) {
        failures.set(next, (failures.get(next) ?? 0) + 1);
        log.warn({ url: next, err: error }, 'a file could not be fetched ahead');
      }
    }
  }

  return {
    want(urls, unknown) {
      wanted = urls;
      unresolved = unknown;
      const still = new Set(urls);
      for (const url of ready.keys()) if (!still.has(url)) ready.delete(url);
      for (const url of failures.keys()) if (!still.has(url)) failures.delete(url);
      point.keepContents(new Set(ready.values()));
      if (working || stopped) return;
      working = true;
      void work().finally(() => {
        working = false;
      });
    },
    status: () => ({
      wanted: wanted.length,
      ready: wanted.filter((url) => ready.has(url)).length,
      failed: wanted.filter((url) => (failures.get(url) ?? 0) >= attemptsMaximum).length,
      unresolved,
    }),
    stop() {
      stopped = true;
    },
  };
}
