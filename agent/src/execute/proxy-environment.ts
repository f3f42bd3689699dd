import type { DistributionPoint } from './executor.ts';

/**
 * The way through the distribution point for programs that load with libcurl, as dnf, yum, zypper and apk do: for `http`
 * only, since it cannot see into TLS, and so a repository with TLS is the host's own way. In the environment of root's own
 * process, where `ps` does not show it; only commands that load anything get it, and none that runs scripts of packages.
 */
export function proxyEnvironment({
  url,
  user,
  password,
  direct,
}: DistributionPoint): Readonly<Record<string, string>> {
  // Then how its repositories are reached is the host's own affair.
  if (direct === true) return {};
  const proxy = new URL(url);
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return { http_proxy: `${proxy.protocol}//${credentials}@${proxy.host}` };
}
