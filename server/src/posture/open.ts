import type { AssetContact } from '@fixpoint/core/posture/facts.ts';
import type { Fleet } from '@fixpoint/core/posture/fleet.ts';
import type { CountableFleet, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';
import type { Pool, PoolClient } from 'pg';
import { RefusedError } from '../api-error.ts';
import type { Context } from '../context.ts';
import { listen } from '../database/listen.ts';
import { refuse, type Refusal } from '../refusal.ts';
import { changesSince } from './changes.ts';
import { inOneState, loadChange, loadFleet } from './load.ts';
import type { Posture, PostureState } from './posture.ts';
import { contactsSince } from './read-assets.ts';
import { inTurns, nextTurn, turnMilliseconds } from './turns.ts';
import { isVisible, type Snapshot } from './snapshot.ts';

/** A change waits so long for readers that work in slices; then they are begun again with the change in it. */
const patienceMilliseconds = 500;
/** So often a reader is begun again at most; then the change waits for it, */
const restarts = 2;
/** and with it everybody who asks for what is fresh, but no longer than this. */
const longestWaitMilliseconds = 30_000;
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
  /** When, by the clock of the database: rows of the feed are cleared away by it. */
  #takenAt = 0;
  #asOf = new Date(0);
  #heardUntil: Date | null = null;
  /** A change was left half-way. */
  #isBroken = false;
  #hearing: Promise<void> | null = null;
  /** Problems that are in the log already. */
  #told = new Set<string>();
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

  async fresh(): Promise<Fleet> {
    await this.#catchUp();
    if (this.#isBroken) await this.#catchUp();
    if (this.#fleet === null) throw new Error('the fleet is not loaded');
    const now = this.#context.clock.now().getTime();
    const change = this.#fleet.nextChange(now);
    if (change !== null && change <= now) {
      await this.#alone(() => {
        const fleet = this.#fleet;
        const due = fleet?.nextChange(now) ?? null;
        // Somebody else who found the same may have done it meanwhile.
        if (fleet !== null && due !== null && due <= now) this.#change(() => fleet.passTime(now));
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
      const fleet = await this.fresh();
      while (this.#waitingSince !== null) await nextTurn();
      this.#readers += 1;
      try {
        const sliced = work(fleet);
        let turn = performance.now();
        for (;;) {
          const step = sliced.next();
          if (step.done === true) return step.value;
          if (performance.now() - turn < turnMilliseconds) continue;
          await nextTurn();
          turn = performance.now();
          const waiting = this.#waitingSince;
          if (waiting === null) continue;
          // Begun again with the change in it.
          if (attempt < restarts && turn - waiting > patienceMilliseconds) break;
          if (turn - waiting > longestWaitMilliseconds) throw new RefusedError(takesTooLong);
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
    try {
      await this.#catchUp();
      await this.settled();
    } catch (error) {
      // Agents and orders must not wait for it: whoever asks something of the fleet is told, until it can be loaded.
      this.#context.log.error({ err: error }, 'the fleet could not be loaded; trying again');
    }
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
      setInterval(() => this.#hear(), contactMilliseconds),
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
    await this.#hearing;
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

  /** One at a time: when the database is slow, the next one would only take one more connection. */
  #hear(): void {
    this.#hearing ??= this.#hearOnce()
      .catch((error: unknown) => {
        if (!this.#stopped)
          this.#context.log.warn({ err: error }, 'when assets were heard of could not be read');
      })
      .finally(() => {
        this.#hearing = null;
      });
  }

  async #hearOnce(): Promise<void> {
    const since = this.#heardUntil;
    const client = await this.#pool.connect();
    let contacts: readonly AssetContact[];
    try {
      const from = since === null ? null : new Date(since.getTime() - contactOverlapMilliseconds);
      contacts = await contactsSince(client, from);
    } finally {
      client.release();
    }
    const now = this.#context.clock.now().getTime();
    let latest = since?.getTime() ?? 0;
    for (const { lastSeenAt } of contacts) latest = Math.max(latest, lastSeenAt);
    // Contacts that a server with a fast clock has written must not hide those of the others.
    this.#heardUntil = new Date(Math.min(latest, now));
    if (contacts.length === 0) return;
    await this.#alone(() => this.#change(() => this.#fleet?.apply({ contacts }, { now })));
    this.#settle();
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
    const now = this.#context.clock.now();
    const client = await this.#pool.connect();
    let change: (() => void) | null = null;
    try {
      const [fleet, held] = [this.#fleet, this.#snapshot];
      if (fleet === null || held === null || this.#isBroken) change = await this.#load(client);
      else {
        const { rows, snapshot, at } = await changesSince(client, held);
        // Who was asleep for long has missed rows that are cleared away. And transactions that are numbered lower than before
        // are those of another database, or of one that was set back: what it had last is not in what it has now.
        const isLost = at - this.#takenAt > keptMilliseconds || snapshot.xmax < held.xmax;
        if (isLost) change = await this.#load(client);
        else if (rows.length > 0) change = await this.#take(client, fleet, held);
        else {
          // Nothing to read again; whoever waits for a transaction finds it in here all the same.
          this.#snapshot = snapshot;
          this.#takenAt = at;
        }
      }
    } finally {
      client.release();
    }
    if (change !== null) {
      await this.#alone(change);
      this.#tell();
      this.#settle();
    }
    this.#asOf = now;
  }

  /** Reads everything; what is answered puts it in place. */
  async #load(client: PoolClient): Promise<() => void> {
    const now = this.#context.clock.now().getTime();
    const { fleet, snapshot, at } = await inOneState(client, async (trx) => {
      const state = await changesSince(client, null);
      return { ...state, fleet: await loadFleet(client, trx, now) };
    });
    return () => {
      this.#fleet = fleet;
      this.#isBroken = false;
      this.#snapshot = snapshot;
      this.#takenAt = at;
    };
  }

  /** Reads what has changed since; what is answered takes it in. */
  async #take(client: PoolClient, fleet: Fleet, since: Snapshot): Promise<() => void> {
    const { loaded, snapshot, at } = await inOneState(client, async (trx) => {
      const changes = await changesSince(client, since);
      const from = new Date(this.#asOf.getTime() - transactionMilliseconds);
      return { ...changes, loaded: await loadChange(client, trx, fleet, changes.rows, from) };
    });
    return () => {
      const now = this.#context.clock.now().getTime();
      this.#change(() => fleet.apply(loaded.change, { now, removed: loaded.removed }));
      this.#snapshot = snapshot;
      this.#takenAt = at;
    };
  }

  /** Changes the fleet. One that was left half-way is no state of the database, so everything is loaded anew then. */
  #change(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
  }

  /** Logs what cannot be judged, once for each. */
  #tell(): void {
    const problems = new Map(this.#fleet?.problems.map((each) => [JSON.stringify(each), each]));
    for (const [key, problem] of problems)
      if (!this.#told.has(key))
        this.#context.log.error(
          problem,
          `the ${problem.kind} ${problem.name} is passed over: ${problem.message}`,
        );
    this.#told = new Set(problems.keys());
  }

  /** Changes the fleet while nobody is reading it in slices. */
  async #alone(change: () => void | Promise<void>): Promise<void> {
    const turn = this.#after(this.#changing, change);
    this.#changing = turn.catch(() => {});
    await turn;
  }

  async #after(others: Promise<void>, change: () => void | Promise<void>): Promise<void> {
    await others;
    this.#waitingSince = performance.now();
    if (this.#readers > 0) await new Promise<void>((resolve) => this.#readersGone.push(resolve));
    try {
      await change();
    } finally {
      this.#waitingSince = null;
    }
  }

  #changing: Promise<void> = Promise.resolve();

  /** Works out in the background what a change has left to be worked out, and what comes to it meanwhile. */
  #settle(): void {
    if (this.#settling !== null || this.#stopped || !this.#isUnsettled()) return;
    this.#settling = this.#settleInBackground();
  }

  async #settleInBackground(): Promise<void> {
    try {
      await this.#settleAll();
      this.#settling = null;
      this.#settle();
    } catch (error) {
      this.#settling = null;
      this.#context.log.error({ err: error }, 'risks could not be worked out');
    }
  }

  #isUnsettled(): boolean {
    return this.#fleet !== null && (this.#fleet.isBehind || this.#fleet.needsCompaction);
  }

  async #settleAll(): Promise<void> {
    while (this.#isUnsettled() && !this.#stopped) {
      const fleet = this.#fleet;
      if (fleet === null) return;
      if (fleet.isBehind) {
        await inTurns(fleet.settleRisks(), () => this.#stopped);
        const now = this.#context.clock.now().getTime();
        await this.#alone(() => inTurns(fleet.followLast(now), () => false));
      } else await this.#alone(() => inTurns(fleet.compact(), () => false));
    }
  }
}

const takesTooLong: Refusal = refuse(
  503,
  'takes_too_long',
  'this takes so long that others would have to wait for it with what has changed meanwhile',
  'ask about fewer assets or findings, by a tag or a vulnerability, or ask again when less is changing',
);
