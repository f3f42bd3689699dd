import { createLog } from '../log.ts';
import type { RebootReply } from '../reboot-talk.ts';
import { createStopAt } from '../stop-at.ts';
import type { TaskContext } from './context.ts';

/** A host and a server of a test: what the steps of a task are handed, with everything that decides in the test's hand. */
export interface TestContext extends TaskContext {
  readonly world: {
    /** Milliseconds since 1970. */
    now: number;
    bootId: string;
    loggedIn: string[];
    reply: RebootReply | null;
    rebootFails: string | null;
    /** The agent is killed before it asks for the reboot. */
    diesFirst: boolean;
    reboots: number;
    said: string[];
    /** Null: the server cannot be asked. */
    answer: { held: boolean; clockSkewSeconds: number } | null;
    cancelled: boolean;
    forbidden: { message: string; opensAt: number | null } | null;
  };
}

function missing(): never {
  throw new Error('this test gave the step no such thing');
}

export function testContext(stateDir: string, now: number): TestContext {
  const world: TestContext['world'] = {
    now,
    bootId: 'boot-1',
    loggedIn: [],
    reply: null,
    rebootFails: null,
    diesFirst: false,
    reboots: 0,
    said: [],
    answer: { held: false, clockSkewSeconds: 0 },
    cancelled: false,
    forbidden: null,
  };
  const clock: TaskContext['clock'] = {
    now: () => world.now,
    elapsedSeconds: () => world.now / 1000,
    sleep: () => Promise.resolve(),
  };
  return {
    world,
    clock,
    log: createLog(clock, () => undefined),
    stopAt: createStopAt(undefined, stateDir),
    stateDir,
    ownUnit: null,
    collector: { current: () => null, collect: missing },
    touched: { list: () => [], add: () => undefined },
    machine: {
      bootId: () => world.bootId,
      whoIsLoggedIn: () => world.loggedIn,
      tellEverybody(text) {
        world.said.push(text);
        return Promise.resolve();
      },
      askForReboot: () => {
        world.reply = null;
      },
      readReply: () => world.reply,
      start() {
        if (world.diesFirst) return Promise.reject(new Error('killed'));
        if (world.rebootFails !== null) return Promise.resolve({ ok: false, message: world.rebootFails });
        world.reboots += 1;
        return Promise.resolve({ ok: true });
      },
    },
    createExecutor: missing,
    distributionPoint: missing,
    distributionPointNow: () => Promise.resolve(null),
    serverWasOut: () => Promise.resolve(false),
    tryReport: () => Promise.resolve(),
    reportInventory: missing,
    wake: () => undefined,
    isCancelled: () => world.cancelled,
    askedServer: () => Promise.resolve(world.answer),
    pause: () => Promise.resolve(),
    output: () => undefined,
    mayRebootNow: () => world.forbidden,
    policy: missing,
    restartAgent: () => undefined,
  };
}
