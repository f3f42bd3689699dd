import { setTimeout } from 'node:timers/promises';

/** Limits of bandwidth: a token bucket, pure, and a thin wait around it. */

export interface Bucket {
  readonly bytesPerSecond: number;
  /** So much may pass at once after a pause. */
  readonly burstBytes: number;
}

export interface BucketLevel {
  /** Bytes that may pass now; below zero: bytes that have passed ahead of their time. */
  readonly bytes: number;
  readonly atMilliseconds: number;
}

export function fullBucket(bucket: Bucket, nowMilliseconds: number): BucketLevel {
  return { bytes: bucket.burstBytes, atMilliseconds: nowMilliseconds };
}

/**
 * Takes bytes out. They may always be taken, and whoever takes more than is there waits until the level would be at zero
 * again: so a piece larger than the burst passes too, and those who take one after another wait one after another.
 */
export function takeFrom(
  bucket: Bucket,
  level: BucketLevel,
  bytes: number,
  nowMilliseconds: number,
): { readonly level: BucketLevel; readonly waitMilliseconds: number } {
  const seconds = Math.max(0, nowMilliseconds - level.atMilliseconds) / 1000;
  const left = Math.min(bucket.burstBytes, level.bytes + seconds * bucket.bytesPerSecond) - bytes;
  return {
    level: { bytes: left, atMilliseconds: Math.max(nowMilliseconds, level.atMilliseconds) },
    waitMilliseconds: left >= 0 ? 0 : (-left / bucket.bytesPerSecond) * 1000,
  };
}

/** Elapsed time and waiting, so that tests can move them. */
export interface Elapsing {
  milliseconds(): number;
  sleep(milliseconds: number): Promise<void>;
}

export const realElapsing: Elapsing = {
  milliseconds: () => performance.now(),
  // a wait for bandwidth alone does not keep a process from ending
  sleep: async (milliseconds) => {
    await setTimeout(milliseconds, undefined, { ref: false });
  },
};

export interface Throttle {
  /** Settles when these bytes may pass. */
  pass(bytes: number): Promise<void>;
}

/** `null`: no limit. */
export function createThrottle(bytesPerSecond: number | null, time: Elapsing = realElapsing): Throttle {
  if (bytesPerSecond === null) return { pass: () => Promise.resolve() };
  const bucket = { bytesPerSecond, burstBytes: bytesPerSecond };
  let level = fullBucket(bucket, time.milliseconds());
  return {
    async pass(bytes) {
      const taken = takeFrom(bucket, level, bytes, time.milliseconds());
      ({ level } = taken);
      if (taken.waitMilliseconds > 0) await time.sleep(taken.waitMilliseconds);
    },
  };
}

/** `20G`, `512M`, `64k`, `1000`: bytes, in powers of 1024. Null when it is not one. */
export function readByteSize(text: string): number | null {
  const [, digits, unit = ''] = /^(\d{1,12})\s*([kMGT]?)(?:i?B)?$/iu.exec(text.trim()) ?? [];
  if (digits === undefined) return null;
  const bytes = Number(digits) * 1024 ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase());
  return Number.isSafeInteger(bytes) ? bytes : null;
}
