/** The only place of the command line that reads the clock. */
export function now(): Date {
  return new Date();
}

/** Milliseconds since some fixed moment, for measuring; does not jump when the clock is set. */
export function ticks(): number {
  return performance.now();
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done);
    if (signal?.aborted === true) done();
  });
}
