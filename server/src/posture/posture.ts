import type { CountableFleet, FleetReading } from '@fixpoint/core/posture/reading.ts';
import type { Sliced } from '@fixpoint/core/posture/select/selection.ts';

/** The read model of this server process: the whole fleet in memory, following the database. */
export interface Posture {
  /**
   * The fleet with every change in it that was committed before the call: who has written and then reads, reads what was
   * written, on whichever server it was. Loads the fleet when that has not been done yet. Read from it before the next
   * `await`; what takes longer goes through `run`.
   */
  fresh(): Promise<FleetReading>;
  /**
   * The fleet with this transaction in it: `pg_current_xact_id()` of whoever wrote. Waits for it up to a few seconds; null when
   * it does not come.
   */
  atLeast(transaction: string): Promise<FleetReading | null>;
  /** Runs what takes longer in slices, on one state of the fleet, without holding up other requests. */
  run<Result>(work: (fleet: CountableFleet) => Sliced<Result>): Promise<Result>;
  /** Of what moment of the database the fleet is, and how large it is; null before it is loaded. */
  state(): PostureState | null;
  /** Loads the fleet and follows the database until `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostureState {
  /** When the fleet was last found to be as the database is. */
  readonly asOf: Date;
  readonly assets: number;
  readonly software: number;
  readonly vulnerabilities: number;
  readonly pairs: number;
  /** False while risks are being worked out anew. */
  readonly risksSettled: boolean;
}
