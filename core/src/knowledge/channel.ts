/**
 * Support channels: fixes that a vendor publishes for a part of its customers, beside the release's own repositories.
 *
 * A *successor* goes on where the release's own support ends (Ubuntu Pro's ESM, Red Hat's ELS, SUSE's LTSS): its versions sort after those
 * of the release, so they are compared with any host's, and a host without the subscription needs it to get the fix. A
 * *branch* is built apart from the release (RHEL's extended update support of one minor release, FIPS-certified builds,
 * layered products): its versions say nothing about a host that does not have its builds, and a host that has them is
 * judged by them and not by the release's own fix, which it never gets.
 */

export type ChannelKind = 'successor' | 'branch';

export function channelKind(channel: string): ChannelKind {
  return ['pro', 'els', 'ltss'].includes(channel.split(/[:-]/u)[0] ?? '') ? 'successor' : 'branch';
}

/**
 * Whether an installed version was built in the branch that a fix belongs to. FIPS builds bear the word in their version;
 * RPM branches are told by the distribution tag of the release, such as `el9_2` of RHEL 9.2 EUS against `el9_4`, or `el9sat`.
 */
export function isBuiltIn(channel: string, installed: string, fixed: string): boolean {
  if (channel.startsWith('fips')) return /fips/iu.test(installed);
  if (channel.startsWith('extra:')) return isOfTopic(channel.slice('extra:'.length), installed, fixed);
  const tag = distributionTag(fixed);
  // A bare `el9` is on builds of every minor release, and tells nothing.
  return tag !== null && !/^el[0-9]+$/u.test(tag) && distributionTag(installed) === tag;
}

/**
 * Amazon's extras bear no mark. A topic that ends in the series of the build (`kernel-5.10`, `postgresql14`, `nginx1`) holds
 * that series alone; any other (`docker`, `firefox`) moves from series to series, and the package is in no other repository.
 */
function isOfTopic(topic: string, installed: string, fixed: string): boolean {
  const series = /[0-9]+(?:\.[0-9]+)*$/u.exec(topic)?.[0] ?? null;
  const isOf = (version: string): boolean => `${version.replace(/^[0-9]+:/u, '')}.`.startsWith(`${series}.`);
  return series === null || !isOf(fixed) || isOf(installed);
}

/** `5.10` of `5.10.205-195.804.amzn2`. */
export function upstreamSeries(version: string): string {
  return version
    .replace(/^[0-9]+:/u, '')
    .split('.')
    .slice(0, 2)
    .join('.');
}

/**
 * `el9_2` of `1:1.1.1k-12.el9_2.1`, `el8.2.0` of a module's `1-2.module+el8.2.0+7265+e9c2`, `el8_7.cloud` of a build of Rocky's
 * cloud group; null when there is none.
 */
function distributionTag(version: string): string | null {
  const module = /\.module[+_](el[0-9]+(?:\.[0-9]+)*)/u.exec(version)?.[1];
  return module ?? /\.(el[0-9]+[a-z0-9_]*(?:\.[a-z]+)?)/u.exec(version)?.[1] ?? null;
}

/** In words, for a person who has to get it. */
export function channelTitle(channel: string): string {
  const [kind = '', ...rest] = channel.split(':');
  const of = rest.join(' ');
  if (kind === 'pro') return 'Ubuntu Pro (expanded security maintenance)';
  if (kind.startsWith('fips')) return `Ubuntu Pro (${kind})`;
  if (kind.startsWith('ltss')) return `SUSE ${kind.toUpperCase()}`;
  if (kind === 'els') return 'Extended Life Cycle Support';
  if (kind === 'eus') return `Extended Update Support of ${of}`;
  if (kind === 'aus') return `Advanced Update Support of ${of}`;
  if (kind === 'e4s') return `Update Services for SAP of ${of}`;
  if (kind === 'tus') return `Telecommunications Update Service of ${of}`;
  return kind === 'product' ? of : channel;
}
