/** The parts of the table of assets, where sizes decide how they are stored. */
import { describe, expect, test } from 'vitest';
import { AddressColumn } from './address-column.ts';
import { assetSet } from './asset-set.ts';
import { Codes } from './codes.ts';
import { KeyedColumn } from './keyed-column.ts';
import { ListColumn } from './list-column.ts';
import { sizeOf, withMember, withoutMember, type Members } from './members.ts';
import { TextDictionary } from './text-dictionary.ts';
import { UidColumn } from './uid-column.ts';

describe('codes', () => {
  test.each([
    ['every asset', 1],
    ['few assets', 40],
  ])('of %s are told as they were given, however great they become', (_, apart) => {
    const codes = new Codes();
    const given = new Map<number, number>();
    for (const [id, code] of [200, 300, 70_000].flatMap((greatest, round) =>
      Array.from({ length: 2000 }, (__, at) => [(at + 1) * apart, (at * 31 + round) % greatest] as const),
    )) {
      codes.set(id, code);
      given.set(id, code);
    }
    codes.set(apart, 65_536);
    given.set(apart, 65_536);
    for (const [id, code] of given) expect(codes.get(id)).toBe(code);
    expect([codes.get(0), codes.get(2001 * apart)]).toEqual([0, 0]);
  });
});

describe('a dictionary', () => {
  test('forgets what nobody uses, and gives its number to another', () => {
    const texts = new TextDictionary();
    const a = texts.take('a');
    expect([texts.take('a'), texts.find('b')]).toEqual([a, 0]);
    expect([texts.release(a), texts.find('a')]).toEqual([false, a]);
    expect([texts.release(a), texts.find('a'), texts.text(a), texts.size]).toEqual([true, 0, null, 0]);
    expect([texts.take('b'), texts.text(a)]).toEqual([a, 'b']);
    expect(() => texts.release(a + 1)).toThrow('not in use');
  });
});

test('members are the same however many they are', () => {
  let members: Members = 0;
  for (let id = 1; id <= 60; id++) {
    members = withMember(members, id);
    expect(sizeOf(members)).toBe(id);
  }
  for (let id = 60; id >= 1; id--) {
    members = withoutMember(members, id);
    expect(sizeOf(members)).toBe(id - 1);
  }
  expect(members).toBe(0);
});

describe('lists', () => {
  const within = assetSet([1, 2, 3]);

  test('of more values than one unit of text can number', () => {
    const column = new ListColumn();
    const many = Array.from({ length: 40_000 }, (_, at) => `unit-${at}`);
    column.put(1, many, false);
    column.put(2, ['unit-39999', 'unit-0', 'unit-0'], false);
    for (const id of [1, 2]) column.list(id);
    expect(column.valuesOf(1)).toEqual(many.toSorted());
    expect(column.valuesOf(2)).toEqual(['unit-0', 'unit-39999']);
    const truths = column.truths((fact) => fact === 'unit-32768', within, within);
    expect([truths.holds.toArray(), truths.fails.toArray()]).toEqual([[1], [2, 3]]);
  });

  test('keep their values when one of two with the same is gone for a time', () => {
    const column = new ListColumn();
    column.put(1, ['a', 'b'], true);
    column.put(2, ['a', 'b', 'c'], true);
    column.put(1, ['a'], true);
    column.put(1, ['a', 'b'], true);
    column.put(2, ['c'], true);
    expect([column.valuesOf(1), column.valuesOf(2)]).toEqual([['a', 'b'], ['c']]);
  });

  test('are read anew when the number of a value has become that of another', () => {
    const column = new ListColumn();
    for (const [id, value] of [
      [1, 'x'],
      [1, 'y'],
      [2, 'z'],
      [3, 'x'],
    ] as const)
      column.put(id, [value], true);
    expect([1, 2, 3].map((id) => column.valuesOf(id))).toEqual([['y'], ['z'], ['x']]);
  });

  test('are not mixed up when values go and their numbers come again', () => {
    const column = new ListColumn();
    for (const values of [['a', 'b'], ['c'], [], [''], ['a', 'b'], ['b', 'a', 'a']]) {
      column.put(1, values, true);
      expect(column.valuesOf(1)).toEqual([...new Set(values)].toSorted());
    }
    expect(column.put(1, ['a', 'b'], true)).toBe(false);
    expect([column.put(1, [], true), column.put(1, null, true), column.distinct]).toEqual([true, true, 0]);
  });
});

test('an asset that loses a key is known not to have it', () => {
  const column = new KeyedColumn();
  for (const id of [1, 2]) column.put(id, { role: 'web' }, true);
  column.put(1, {}, true);
  const truths = column.truths('role', (fact) => fact === 'web', assetSet([1, 2]));
  expect([truths.holds.toArray(), truths.fails.toArray()]).toEqual([[2], [1]]);
});

test('a key that nobody has any more is forgotten', () => {
  const column = new KeyedColumn();
  expect(column.put(1, { role: 'web', '': 'x' }, true)).toBeNull();
  expect(column.put(1, { role: 'db' }, true)).toEqual(['', 'role']);
  expect([column.textOf(1, ''), column.keys(), column.column('')]).toEqual([[], ['role'], null]);
  expect([column.put(1, null, true), column.textOf(1, 'role'), column.keys()]).toEqual([null, null, []]);
});

test('addresses are told as they were reported', () => {
  const column = new AddressColumn();
  const addresses = ['FE80::1%eth0', '10.0.0.1', '', '10.0.0.1'];
  expect([column.addressesOf(3), column.put(3, addresses, true)]).toEqual([null, true]);
  expect([column.put(3, addresses, true), column.addressesOf(3), column.addressesOf(2)]).toEqual([
    false,
    addresses,
    null,
  ]);
  expect([column.put(3, [], true), column.addressesOf(3)]).toEqual([true, []]);
});

describe('UUIDs', () => {
  const uid = (id: number): string =>
    `0192f0a1-89ab-7cde-8f00-${(id * 0x10001).toString(16).padStart(12, '0')}`;

  test('are found, each with its asset', () => {
    const column = new UidColumn();
    for (let id = 1; id <= 5000; id++) column.put(id, uid(id));
    for (let id = 1; id <= 5000; id++)
      expect([column.idOf(uid(id)), column.textOf(id)]).toEqual([id, uid(id)]);
    expect(column.idOf(uid(1).toUpperCase())).toBe(1);
    const none = [
      '',
      uid(5001),
      uid(1).replace('a', 'g'),
      uid(1).replaceAll('-', '0'),
      `${uid(1)}0`,
      uid(1).replace('8', '@'),
    ];
    for (const text of none) expect(column.idOf(text)).toBeNull();
  });

  test('stay with their asset', () => {
    const column = new UidColumn();
    column.put(1, uid(1));
    column.put(1, uid(1));
    expect(() => column.put(2, uid(1))).toThrow('is the asset 1');
    expect(() => column.put(1, uid(2))).toThrow('the asset 1 is');
    expect(() => column.put(3, 'web-1')).toThrow('is no UUID');
  });
});
