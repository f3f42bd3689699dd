import type { Static } from 'typebox';
import { expect, test } from 'vitest';
import type * as contract from '@fixpoint/contract/patch-job.ts';
import type { PatchJobDefinition } from '@fixpoint/core/patch-job/definition.ts';
import type * as plan from '@fixpoint/core/plan/plan.ts';

/** core may not import contract, so both name the same things; this is what keeps them the same. */

type Loose<T> = T extends readonly (infer E)[]
  ? Loose<E>[]
  : T extends object
    ? { -readonly [K in keyof T]: Loose<T[K]> }
    : T;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;

test('core and contract have the same shapes, or this does not compile', () => {
  const same: [
    Same<Loose<PatchJobDefinition>, Loose<Static<typeof contract.PatchJobDefinition>>>,
    Same<Loose<plan.Plan>, Loose<Static<typeof contract.Plan>>>,
  ] = [true, true];
  expect(same).toEqual([true, true]);
});
