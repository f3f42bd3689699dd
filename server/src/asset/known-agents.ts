import { hash } from 'node:crypto';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { AgentMode, CheckInRequest } from '@fixpoint/contract/agent.ts';
import { listen, type Listener } from '../database/listen.ts';

/**
 * What this process remembers of agents, so that one with nothing new costs no question to the database: that what the server
 * holds of it is what it said last, and that it has no open task. Remembered after the database was asked; forgotten when
 * the database tells of a change (triggers on asset and task, channel `agents_changed`), and all of it while the database
 * cannot be heard. So another server's change counts here some milliseconds after it is committed, or within two
 * seconds when the connection breaks without a word.
 */
export interface KnownAgents {
  /** Hears of changes from now on, and remembers. Before this, and after `stop`, nothing is remembered. */
  start(): void;
  stop(): Promise<void>;
  /** The mode of an asset whose agent is known, is not retired and has no open task; null: ask the database. */
  modeOf(assetId: number, uid: string): AgentMode | null;
  /** Whether the server holds just what this check-in says, and there is nothing to do. */
  isSettled(assetId: number, print: Buffer): boolean;
  /** To be called before the database is asked. What has changed since must not be remembered. */
  beginReading(assetId: number): Reading;
  /** To be called after a change is committed, before it is answered. */
  forget(assetId: number): void;
}

export interface Reading {
  /** What was read is that the server holds what this check-in says, and that there is no open task. */
  remember(agent: { readonly uid: string; readonly mode: AgentMode; readonly print: Buffer }): void;
  /** Always, at the end. */
  done(): void;
}

/** What an agent says of its host in a check-in, in 16 bytes: of SHA-256, so nobody finds two that are alike. */
export function printOf(uid: string, request: CheckInRequest): Buffer {
  const { packages, candidates, host, residue } = request.digests;
  const text = JSON.stringify([
    uid,
    request.agent_version,
    packages,
    candidates,
    host,
    residue,
    request.problems ?? [],
  ]);
  return hash('sha256', text, 'buffer').subarray(0, bytes);
}

const bytes = 16;
/** Ids are given in order, from 1. Beyond so many, 33 bytes each, nothing is remembered. */
const mostAssets = 4_000_000;
const unknown = 0;
const modes: readonly (AgentMode | null)[] = [null, 'assess', 'manage'];

const uidBytes = (uid: string) => Buffer.from(uid.replaceAll('-', ''), 'hex');

export function openKnownAgents(source: { readonly pool: Pool; readonly log: Logger } | null): KnownAgents {
  let listener: Listener | null = null;
  let hearing = false;
  /** By asset id: unknown, or the place in `modes`. */
  let state = new Uint8Array(0);
  /** By asset id: its uid, then its print. */
  let held = Buffer.alloc(0);
  /** Assets about which the database is being asked. A change takes its readings out: what they find may be old. */
  const readings = new Map<number, Set<Reading>>();

  const forgetAll = () => {
    hearing = false;
    readings.clear();
    state.fill(unknown);
  };
  const forget = (assetId: number) => {
    readings.delete(assetId);
    if (assetId < state.length) state[assetId] = unknown;
  };
  const same = (assetId: number, offset: number, value: Buffer) =>
    value.length === bytes &&
    value.compare(held, assetId * 2 * bytes + offset, assetId * 2 * bytes + offset + bytes) === 0;
  const grow = (assetId: number) => {
    if (assetId < state.length) return;
    const size = Math.min(mostAssets, Math.max(1024, 2 ** Math.ceil(Math.log2(assetId + 1))));
    const [largerState, largerHeld] = [new Uint8Array(size), Buffer.alloc(size * 2 * bytes)];
    largerState.set(state);
    held.copy(largerHeld);
    [state, held] = [largerState, largerHeld];
  };

  return {
    start() {
      if (source === null || listener !== null) return;
      listener = listen(source.pool, {
        channel: 'agents_changed',
        log: source.log,
        begun: () => {
          // What was asked before may be from before anything was heard.
          forgetAll();
          hearing = true;
        },
        heard: (payload) => {
          for (const id of payload.split(',')) forget(Number(id));
        },
        lost: forgetAll,
      });
    },
    async stop() {
      const stopping = listener;
      listener = null;
      await stopping?.stop();
      forgetAll();
    },
    modeOf(assetId, uid) {
      const mode = modes[state[assetId] ?? unknown] ?? null;
      return mode !== null && same(assetId, 0, uidBytes(uid)) ? mode : null;
    },
    isSettled: (assetId, print) => (state[assetId] ?? unknown) !== unknown && same(assetId, bytes, print),
    beginReading(assetId) {
      const reading: Reading = {
        remember({ uid, mode, print }) {
          if (!hearing || assetId >= mostAssets || readings.get(assetId)?.has(reading) !== true) return;
          grow(assetId);
          uidBytes(uid).copy(held, assetId * 2 * bytes, 0, bytes);
          print.copy(held, assetId * 2 * bytes + bytes, 0, bytes);
          state[assetId] = mode === 'manage' ? 2 : 1;
        },
        done() {
          const all = readings.get(assetId);
          all?.delete(reading);
          if (all?.size === 0) readings.delete(assetId);
        },
      };
      const all = readings.get(assetId);
      if (all === undefined) readings.set(assetId, new Set([reading]));
      else all.add(reading);
      return reading;
    },
    forget,
  };
}
