import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { taskStates } from '../task/states.ts';
import { decideReboot, explainReboot, isRebootAhead, rebootWaits, type RebootQuestion } from './reboots.ts';

const now = Date.parse('2026-03-03T02:00:00Z');
const members = new Map([
  ['etcd', new Set([1, 2, 3])],
  ['web', new Set([3, 4])],
]);
const question = (over: Partial<RebootQuestion> = {}): RebootQuestion => ({
  now,
  deployment: 'running',
  assetId: 1,
  rule: { mode: 'force', countdown_seconds: 30 },
  standing: { kind: 'open', use: null },
  held: null,
  notBefore: null,
  permitted: false,
  hostIsDone: false,
  members,
  taken: [],
  ahead: [],
  ...over,
});
const reason = (over: Partial<RebootQuestion>) => {
  const decision = decideReboot(question(over));
  return decision.kind === 'grant' ? 'grant' : decision.reason;
};

describe('whether an asset may go down now', () => {
  test('when everything is as it should be', () => {
    expect(decideReboot(question())).toEqual({ kind: 'grant', countdownSeconds: 30, closesAt: null });
  });

  test('each rule holds it back', () => {
    expect(reason({ rule: undefined })).toBe('reboot_by_hand');
    expect(reason({ rule: { mode: 'suppress' } })).toBe('reboot_by_hand');
    expect(reason({ permitted: true })).toBe('reboot_permitted');
    expect(reason({ hostIsDone: true })).toBe('reboot_not_awaited');
    expect(reason({ deployment: 'paused' })).toBe('reboot_deployment_not_running');
    expect(reason({ held: 'a patch is denied' })).toBe('reboot_held');
    expect(reason({ notBefore: now + 1 })).toBe('reboot_put_off');
    expect(reason({ notBefore: now })).toBe('grant');
    const closed = { kind: 'closed', because: 'window_closed', offerAt: now + 5 } as const;
    expect(decideReboot(question({ standing: closed }))).toMatchObject({ until: now + 5 });
    const staging = { kind: 'staging', use: { opensAt: now + 9, closesAt: now + 99 } } as const;
    expect(decideReboot(question({ standing: staging }))).toMatchObject({ until: now + 9 });
  });

  test('the window must stay open for longer than the countdown and a minute', () => {
    const closesIn = (seconds: number) =>
      reason({ standing: { kind: 'open', use: { opensAt: now - 5, closesAt: now + seconds * 1000 } } });
    expect(closesIn(90)).toBe('reboot_window_closed');
    expect(closesIn(91)).toBe('grant');
  });

  test('limits count over everything that is down, and only what is in the tag', () => {
    const limits = [{ tag: 'etcd', at_once: 1 }];
    const rule = { mode: 'force', limits } as const;
    expect(reason({ rule, taken: [2] })).toBe('reboot_limit_reached');
    expect(reason({ rule, taken: [1] }), 'its own place').toBe('grant');
    expect(reason({ rule, taken: [4, 5] }), 'of another tag').toBe('grant');
    expect(reason({ rule, assetId: 4, taken: [1, 2, 3] }), 'not in the tag itself').toBe('grant');
    expect(reason({ rule: { mode: 'force', limits: [{ tag: 'gone', at_once: 9 }] } })).toBe(
      'reboot_tag_unknown',
    );
  });

  test('assets of an earlier tag come first, and those of any tag before the rest', () => {
    const rule = { mode: 'force', order: ['etcd', 'web'] } as const;
    expect(reason({ rule, assetId: 4, ahead: [1, 4] })).toBe('reboot_order');
    expect(reason({ rule, assetId: 1, ahead: [1, 2, 4, 9] })).toBe('grant');
    expect(reason({ rule, assetId: 9, ahead: [4, 9] })).toBe('reboot_order');
    expect(reason({ rule, assetId: 3, ahead: [4] }), 'in both tags: the first counts').toBe('grant');
  });

  test('a reboot is ahead until the task is past it', () => {
    const ahead = taskStates.filter((state) =>
      isRebootAhead({ state, resumeState: null, rebootPredicted: null }),
    );
    expect(ahead).toEqual([
      'queued',
      'offered',
      'downloading',
      'staged',
      'waiting_for_window',
      'installing',
      'installed',
      'reboot_pending',
      'rebooting',
      'unreachable',
    ]);
    const of = (state: 'queued' | 'reboot_pending', rebootPredicted: boolean | null) =>
      isRebootAhead({ state, resumeState: null, rebootPredicted });
    expect([of('queued', false), of('queued', true), of('reboot_pending', false)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('every wait has its sentence', () => {
    for (const wait of rebootWaits) {
      const { message, whatToDo } = explainReboot({ kind: 'wait', reason: wait, until: now, tag: 'etcd' });
      expect(message).toMatch(/\.$/u);
      expect(whatToDo).toMatch(/\.$/u);
    }
  });
});

describe('over random fleets, limits, orders and events', () => {
  test('never more of a tag are down than its limit, the order is kept, and in the end everybody has rebooted', () => {
    const assets = [1, 2, 3, 4, 5, 6, 7];
    const tags = ['a', 'b', 'c'] as const;
    fc.assert(
      fc.property(
        fc.record({
          sets: fc.tuple(...tags.map(() => fc.subarray(assets))),
          limits: fc.tuple(...tags.map(() => fc.integer({ min: 1, max: 3 }))),
          order: fc.subarray([...tags]),
          steps: fc.array(fc.record({ asset: fc.constantFrom(...assets), back: fc.boolean() }), {
            maxLength: 80,
          }),
        }),
        ({ sets, limits, order, steps }) => {
          const inTag = new Map(tags.map((tag, i) => [tag, new Set(sets[i])]));
          const rule = {
            mode: 'force',
            limits: tags.map((tag, i) => ({ tag, at_once: limits[i] ?? 1 })),
            order,
          } as const;
          const down = new Set<number>();
          const done = new Set<number>();
          const rank = (asset: number) => {
            const found = order.findIndex((tag) => inTag.get(tag)?.has(asset));
            return found === -1 ? order.length : found;
          };
          const act = (asset: number, back: boolean) => {
            if (back) {
              if (down.delete(asset)) done.add(asset);
              return;
            }
            if (done.has(asset) || down.has(asset)) return;
            const ahead = assets.filter((one) => !done.has(one));
            const decision = decideReboot(
              question({ assetId: asset, rule, members: inTag, taken: down, ahead }),
            );
            if (decision.kind === 'grant') {
              expect(ahead.every((one) => rank(one) >= rank(asset))).toBe(true);
              down.add(asset);
            }
            for (const [i, tag] of tags.entries()) {
              const inIt = [...down].filter((one) => inTag.get(tag)?.has(one));
              expect(inIt.length).toBeLessThanOrEqual(limits[i] ?? 1);
            }
          };
          for (const { asset, back } of steps) act(asset, back);
          for (let round = 0; round < assets.length; round += 1) {
            for (const asset of assets) act(asset, false);
            for (const asset of assets) act(asset, true);
          }
          expect(done.size).toBe(assets.length);
        },
      ),
      { numRuns: 300 },
    );
  });
});
