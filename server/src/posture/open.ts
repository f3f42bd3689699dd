import type { AssetContact } from '@fixpoint/core/posture/facts.ts';
import type { Fleet } from '@fixpoint/core/posture/fleet.ts';
import type { CountableFleet, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { Pool, PoolClient } from 'pg';
import type { Context } from '../context.ts';
import { listen } from '../database/listen.ts';

import { inOneState, loadChange, loadFleet, type Changed } from './load.ts';
import type { Posture, PostureState } from './posture.ts';
import { contactsSince } from './read-assets.ts';
import { isVisible, parseSnapshot, type Snapshot } from './snapshot.ts';

/** Work in slices gives others their turn after so long. */
const turnMilliseconds = 4;
/** A change waits so long for readers that work in slices; then they are begun again with the change in it. */
const patienceMilliseconds = 500;
/** So often a reader is begun again at most; then the change waits for it. */
const restarts = 2;
/** How long somebody waits for a transaction that is not there yet. */
const waitMilliseconds = 5_000;
const lookMilliseconds = 20;
/** What was changed is looked for so often even if nobody tells. */
const followMilliseconds = 1_000;
/** When assets were heard of last is read so often. */
const contactMilliseconds = 5_000;
/** Clocks of servers differ: of contacts, those of the last moments are read again. */
const contactOverlapMilliseconds = 3_000;
/** Rows of the feed are kept for a day (background/schedules.ts): who is behind by more than this begins anew. */
const keptMilliseconds = 12 * 3_600_000;

/** No transaction that changes an asset takes as long, and no clock of a server is so far off. */
const transactionMilliseconds = 3_600_000;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
const after = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** The posture of this process. It reads nothing until it is first asked, or started. */
export function openPosture(context: Context, pool: Pool): Posture {
  return new FollowingPosture(context, pool);
}

class FollowingPosture implements Posture {
  readonly #context: Context;
  readonly #pool: Pool;
  #fleet: Fleet | null = null;
  /** What the fleet has in it. */
  #snapshot: Snapshot | null = null;
  /** Rows of the feed that are taken in, of transactions that a later look may find again. */
  #taken = new Set<string>();
  #asOf = new Date(0);
  #heardUntil: Date | null = null;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  /** Readers at work in slices, and whether a change waits for them, since when. */
  #readers = 0;
  #waitingSince: number | null = null;
  #readersGone: (() => void)[] = [];
  #settling: Promise<void> | null = null;
  #stopped = false;
  #stop: (() => Promise<void>)[] = [];

  constructor(context: Context, pool: Pool) {
    this.#context = context;
    this.#pool = pool;
  }

  fresh(): Promise<FleetReading> {
    return this.#fresh();
  }

  async #fresh(): Promise<Fleet> {
    await this.#catchUp();
    if (this.#fleet === null) throw new Error('the fleet is not loaded');
    const now = this.#context.clock.now().getTime();
    const change = this.#fleet.nextChange(now);
    if (change !== null && change <= now) {
      await this.#alone(() => {
        this.#fleet?.passTime(now);
      });
      this.#settle();
    }
    return this.#fleet;
  }

  async atLeast(transaction: string): Promise<FleetReading | null> {
    const xid = BigInt(transaction);
    const until = performance.now() + waitMilliseconds;
    for (;;) {
      const fleet = await this.fresh();
      if (this.#snapshot !== null && isVisible(xid, this.#snapshot)) return fleet;
      if (performance.now() > until) return null;
      await after(lookMilliseconds);
    }
  }

  async run<Result>(work: (fleet: CountableFleet) => Sliced<Result>): Promise<Result> {
    for (let attempt = 0; ; attempt += 1) {
      const fleet = await this.#fresh();
      while (this.#waitingSince !== null) await nextTurn();
      this.#readers += 1;
      const sliced = work(fleet);
      try {
        let turn = performance.now();
        for (;;) {
          const step = sliced.next();
          if (step.done === true) return step.value;
          if (performance.now() - turn < turnMilliseconds) continue;
          await nextTurn();
          turn = performance.now();
          const waiting = this.#waitingSince;
          // Begun again with the change in it.
          if (attempt < restarts && waiting !== null && turn - waiting > patienceMilliseconds) break;
        }
      } finally {
        this.#readers -= 1;
        if (this.#readers === 0) for (const go of this.#readersGone.splice(0)) go();
      }
    }
  }

  state(): PostureState | null {
    if (this.#fleet === null) return null;
    return {
      asOf: this.#asOf,
      assets: this.#fleet.assets.live.size,
      software: this.#fleet.softwareCount,
      vulnerabilities: this.#fleet.vulnerabilities,
      pairs: this.#fleet.pairs,
      risksSettled: this.#fleet.risksSettled,
    };
  }

  async start(): Promise<void> {
    await this.#catchUp();
    await this.settled();
    const follow = () => void this.#follow();
    const listener = listen(this.#pool, {
      channel: 'fleet_change',
      log: this.#context.log,
      begun: follow,
      heard: follow,
      // What is told meanwhile is found by the timer below.
      lost: () => {},
    });
    const timers = [
      setInterval(() => void this.#follow(), followMilliseconds),
      setInterval(() => void this.#hear(), contactMilliseconds),
    ];
    this.#stop.push(async () => {
      for (const timer of timers) clearInterval(timer);
      await listener.stop();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const stop of this.#stop.splice(0)) await stop();
    await this.#running?.catch(() => {});
    await this.#next?.catch(() => {});
    await this.#settling?.catch(() => {});
  }

  /** Ends when every risk is worked out. */
  async settled(): Promise<void> {
    while (this.#settling !== null) await this.#settling;
  }

  async #follow(): Promise<void> {
    try {
      await this.#catchUp();
    } catch (error) {
      if (!this.#stopped)
        this.#context.log.warn({ err: error }, 'the read model could not follow the database');
    }
  }

  async #hear(): Promise<void> {
    try {
      const since = this.#heardUntil;
      const after = since === null ? null : new Date(since.getTime() - contactOverlapMilliseconds);
      const contacts = await this.#contacts(after);
      const now = this.#context.clock.now().getTime();
      const known = contacts.filter(({ id }) => this.#fleet?.assets.has(id) === true);
      if (known.length > 0) await this.#alone(() => this.#fleet?.apply({ contacts: known }, { now }));
      let latest = since?.getTime() ?? 0;
      for (const { lastSeenAt } of contacts) latest = Math.max(latest, lastSeenAt);
      this.#heardUntil = new Date(latest);
    } catch (error) {
      if (!this.#stopped)
        this.#context.log.warn({ err: error }, 'when assets were heard of could not be read');
    }
  }

  async #contacts(after: Date | null): Promise<AssetContact[]> {
    const client = await this.#pool.connect();
    let failed = true;
    try {
      const contacts = await contactsSince(client, after);
      failed = false;
      return contacts;
    } finally {
      client.release(failed);
    }
  }

  /** Takes in what was committed before the call. A look that has begun already may have missed it: then the next one does. */
  #catchUp(): Promise<void> {
    if (this.#next !== null) return this.#next;
    if (this.#running !== null) {
      this.#next = this.#running
        .catch(() => {})
        .then(() => {
          this.#next = null;
          return this.#begin();
        });
      return this.#next;
    }
    return this.#begin();
  }

  #begin(): Promise<void> {
    const look = this.#look().finally(() => {
      if (this.#running === look) this.#running = null;
    });
    this.#running = look;
    return look;
  }

  async #look(): Promise<void> {
    const client = await this.#pool.connect();
    let failed = true;
    try {
      const now = this.#context.clock.now();
      const behind = performance.now() - this.#lookedAt > keptMilliseconds;
      const fleet = this.#fleet;
      if (fleet === null || this.#snapshot === null || behind) await this.#load(client);
      else if ((await this.#changes(client, this.#snapshot)).rows.length > 0) await this.#take(client, fleet);
      this.#asOf = now;
      this.#lookedAt = performance.now();
      failed = false;
    } finally {
      client.release(failed);
    }
  }

  #lookedAt = performance.now();

  async #load(client: PoolClient): Promise<void> {
    const now = this.#context.clock.now().getTime();
    await inOneState(client, async (trx) => {
      const { rows } = await client.query<{ snapshot: string }>(
        'select pg_current_snapshot()::text as snapshot',
      );
      const fleet = await loadFleet(client, trx, now);
      await this.#alone(() => {
        this.#fleet = fleet;
        this.#snapshot = parseSnapshot(rows[0]?.snapshot ?? '');
        this.#taken = new Set();
        this.#heardUntil = new Date(now);
      });
    });
    // What the feed has of transactions that were under way is in it or comes; what was there is in what was loaded.
    const seen = await this.#changes(client, this.#snapshotHeld());
    for (const row of seen.rows)
      if (isVisible(BigInt(row.xid), this.#snapshotHeld())) this.#taken.add(keyOf(row));
    this.#settle();
  }

  #snapshotHeld(): Snapshot {
    if (this.#snapshot === null) throw new Error('the fleet is not loaded');
    return this.#snapshot;
  }

  /** Rows of the feed that are not taken in yet, and what can be seen now. */
  async #changes(
    client: PoolClient,
    since: Snapshot,
  ): Promise<{ rows: Changed[]; snapshot: Snapshot; all: readonly string[] }> {
    const { rows } = await client.query<Changed & { snapshot: string; xid: string | null }>(
      `select pg_current_snapshot()::text as snapshot, c.xid::text as xid, c.sequence::text as sequence, c.kind, c.ids, c.keys
       from (select 1) as once left join fleet_change c on c.xid >= $1::xid8`,
      [since.xmin.toString()],
    );
    const found = rows.filter((row) => row.xid !== null);
    return {
      rows: found.filter((row) => !this.#taken.has(keyOf(row))),
      snapshot: parseSnapshot(rows[0]?.snapshot ?? ''),
      all: found.map(keyOf),
    };
  }

  async #take(client: PoolClient, fleet: Fleet): Promise<void> {
    const since = this.#snapshotHeld();
    const { found, loaded } = await inOneState(client, async (trx) => {
      const changes = await this.#changes(client, since);
      return {
        found: changes,
        loaded: await loadChange(
          client,
          trx,
          fleet,
          changes.rows,
          new Date(this.#asOf.getTime() - transactionMilliseconds),
        ),
      };
    });
    const now = this.#context.clock.now().getTime();
    await this.#alone(() => {
      fleet.apply(loaded.change, { now, removed: loaded.removed });
      this.#snapshot = found.snapshot;
      // Of transactions before the horizon nothing is found again.
      this.#taken = new Set(
        found.all.filter((key) => BigInt(key.split('.')[0] ?? '0') >= found.snapshot.xmin),
      );
    });
    this.#settle();
  }

  /** Changes the fleet while nobody is reading it in slices. */
  async #alone(change: () => void | Promise<void>): Promise<void> {
    const turn = this.#changing.then(async () => {
      if (this.#readers > 0) {
        this.#waitingSince = performance.now();
        await new Promise<void>((resolve) => this.#readersGone.push(resolve));
      } else this.#waitingSince = performance.now();
      try {
        await change();
      } finally {
        this.#waitingSince = null;
      }
    });
    this.#changing = turn.catch(() => {});
    await turn;
  }

  #changing: Promise<void> = Promise.resolve();

  /** Works out in the background what a change has left to be worked out. */
  #settle(): void {
    const fleet = this.#fleet;
    if (fleet === null || this.#settling !== null || this.#stopped) return;
    if (!fleet.isBehind && !fleet.needsCompaction) return;
    this.#settling = (async () => {
      try {
        const now = this.#context.clock.now().getTime();
        while (fleet.isBehind && !this.#stopped) {
          await inTurns(fleet.settleRisks(), () => this.#stopped);
          await this.#alone(() => inTurns(fleet.followLast(now), () => false));
        }
        if (fleet.needsCompaction) await this.#alone(() => inTurns(fleet.compact(), () => false));
      } catch (error) {
        this.#context.log.error({ err: error }, 'risks could not be worked out');
      } finally {
        this.#settling = null;
      }
    })();
  }
}

const keyOf = ({ xid, sequence }: { xid: string | null; sequence: string }): string => `${xid}.${sequence}`;

async function inTurns(work: Sliced<void>, isStopped: () => boolean): Promise<void> {
  let turn = performance.now();
  while (work.next().done !== true) {
    if (performance.now() - turn < turnMilliseconds) continue;
    await nextTurn();
    turn = performance.now();
    if (isStopped()) return;
  }
}
