import { BlockList, isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIpAddress, parseIpNetwork } from './address.ts';

describe('addresses', () => {
  test.each([
    ['10.1.2.3', 4, 0x0a010203n],
    ['0.0.0.0', 4, 0n],
    ['::', 6, 0n],
    ['::1', 6, 1n],
    ['2001:DB8::7', 6, 0x20010db8000000000000000000000007n],
    ['1:2:3:4:5:6:7:8', 6, 0x00010002000300040005000600070008n],
    ['1:2:3:4:5:6:10.1.2.3', 6, 0x0001000200030004000500060a010203n],
    ['fe80::1%eth0.100', 6, 0xfe800000000000000000000000000001n],
    ['::ffff:10.1.2.3', 4, 0x0a010203n],
  ])('%s', (text, family, value) => expect(parseIpAddress(text)).toEqual({ family, value }));

  test.each([
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.-4',
    ' 1.2.3.4',
    ':',
    ':::',
    '1::2::3',
    '10.1.2.3::',
    '1:2:3:4:5:6:7',
  ])('none: %j', (text) => expect(parseIpAddress(text)).toBeNull());

  test('Node reads the same texts as addresses', () => {
    const piece = fc.constantFrom('0', '1', 'ff', 'ffff', '12345', 'g', '10.1.2.3', '');
    const texts = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.array(piece, { maxLength: 9 }).map((parts) => parts.join(':')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(parseIpAddress(text) !== null).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('networks', () => {
  test.each([
    ['10.1.2.3', 4, 0x0a010203n, 0x0a010203n],
    ['10.1.2.3/8', 4, 0x0a000000n, 0x0affffffn],
    ['0.0.0.0/0', 4, 0n, 0xffffffffn],
    ['10.1.2.3/32', 4, 0x0a010203n, 0x0a010203n],
    ['::ffff:10.1.2.3/104', 4, 0x0a000000n, 0x0affffffn],
    ['::/0', 6, 0n, (1n << 128n) - 1n],
    ['::5/127', 6, 4n, 5n],
  ])('%s', (text, family, first, last) => expect(parseIpNetwork(text)).toEqual({ family, first, last }));

  test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '::/129', '/8', '10.0.0.0/8/8', '::ffff:1.2.3.4/95'])(
    'none: %s',
    (text) => expect(parseIpNetwork(text)).toBeNull(),
  );

  test("Node's block list holds the same addresses", () => {
    const families = [
      { address: fc.ipV4(), bits: 32, family: 'ipv4' },
      { address: fc.ipV6(), bits: 128, family: 'ipv6' },
    ] as const;
    for (const { address, bits, family } of families) {
      fc.assert(
        fc.property(address, address, fc.nat(bits), fc.boolean(), (base, other, prefix, same) => {
          const asked = same ? base : other;
          const [network, found] = [parseIpNetwork(`${base}/${prefix}`), parseIpAddress(asked)];
          if (network === null || found === null) throw new Error(`${base} or ${asked} was not read`);
          // What is mapped from IPv4 is IPv4 here, and IPv6 there.
          fc.pre(bits === 32 || (network.family === 6 && found.family === 6));
          const list = new BlockList();
          list.addSubnet(new SocketAddress({ address: base, family }), prefix);
          const inside = found.value >= network.first && found.value <= network.last;
          expect(inside).toBe(list.check(new SocketAddress({ address: asked, family })));
        }),
        { numRuns: 500 },
      );
    }
  });
});
