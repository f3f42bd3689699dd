/** IP addresses and networks (RFC 791, RFC 4291), as numbers. */

export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const bits = { 4: 32, 6: 128 } as const;

/**
 * `192.0.2.1` (four decimal numbers without leading zeros) or an IPv6 address, also with a zone (`fe80::1%eth0`, which is
 * dropped). An IPv4-mapped address (`::ffff:192.0.2.1`) is the IPv4 address. Null: it is none.
 */
export function parseIpAddress(text: string): IpAddress | null {
  if (text.length > 64) return null;
  if (!text.includes(':')) return parseIpv4(text);
  const value = parseIpv6(text.replace(/%[\w.-]+$/, ''));
  if (value === null) return null;
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffffffffn } : { family: 6, value };
}

function parseIpv4(text: string): IpAddress | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    value = value * 256 + Number(part);
  }
  return { family: 4, value: BigInt(value) };
}

function parseIpv6(text: string): bigint | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const tail = groupsOf(halves[1] ?? '', true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  let value = 0n;
  for (const group of [...head, ...Array.from({ length: missing }, () => 0), ...tail])
    value = (value << 16n) | BigInt(group);
  return value;
}

/** Groups of 16 bits; the last of the whole address may be an IPv4 address. */
function groupsOf(text: string, isEnd: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (isEnd && index === parts.length - 1 && part.includes('.')) {
      const last = parseIpv4(part);
      if (last === null) return null;
      groups.push(Number(last.value >> 16n), Number(last.value & 0xffffn));
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

export interface IpNetwork {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** `10.0.0.0/8`, or one address. Bits of the host part are dropped: `10.1.2.3/8` is the same network. */
export function parseIpNetwork(text: string): IpNetwork | null {
  const match = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text);
  const address = match === null ? null : parseIpAddress(match[1] ?? '');
  if (match === null || address === null) return null;
  const { family, value } = address;
  if (match[2] === undefined) return { family, first: value, last: value };
  // The prefix of a mapped address counts from the beginning of the IPv6 address.
  const prefix = Number(match[2]) - (family === 4 && (match[1] ?? '').includes(':') ? 96 : 0);
  if (prefix < 0 || prefix > bits[family]) return null;
  const rest = (1n << BigInt(bits[family] - prefix)) - 1n;
  return { family, first: value & ~rest, last: value | rest };
}
