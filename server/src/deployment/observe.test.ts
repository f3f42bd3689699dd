import { expect, test } from 'vitest';
import { decide, noOtherTasks } from '@fixpoint/core/deployment/decide.ts';
import { decideOptions, observationOf } from './observe.ts';
import type { TaskOfAsset } from './records.ts';

const planned = {
  asset_id: '00000000-0000-4000-8000-000000000000',
  hostname: 'web-1',
  patches: [],
  packages: [],
  fixes: [],
  download_bytes: 0,
};
const noon = new Date('2026-03-02T12:00:00Z');
const after = (seconds: number) => new Date(noon.getTime() + seconds * 1000);

/** A task whose order went out just now, before the contact that fetched it was written. */
const offered: TaskOfAsset = {
  id: 't',
  deploymentId: 'd',
  ring: 0,
  assetId: 1,
  state: 'offered',
  resumeState: null,
  reason: null,
  generation: 1,
  action: 'install',
  undoesGeneration: null,
  changedGeneration: null,
  sequence: 1,
  planned,
  signedOrder: null,
  signedReboot: null,
  rebootAfter: null,
  missedWindowAt: null,
  expiresAt: null,
  offeredAt: noon,
  endedAt: null,
  updatedAt: noon,
  eventIndex: -1,
  evidence: null,
  lastSeenAt: null,
  nextCheckInSeconds: 1,
  retiredAt: null,
  timeZone: 'UTC',
};

test('an asset whose first contact is not written yet is not unreachable, unless it stays silent', () => {
  const commands = (now: Date) =>
    decide(
      { state: 'running', concurrency: 1, openRing: 0 },
      [observationOf(offered, noon)],
      noOtherTasks,
      now.getTime(),
      decideOptions,
    ).commands;
  expect(commands(after(1))).toEqual([]);
  expect(commands(after(decideOptions.silentAfterSeconds + 1))).toEqual([
    { kind: 'mark_unreachable', taskId: 't' },
  ]);
});
