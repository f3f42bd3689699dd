/**
 * What the owner of a host allows there: the content of `/etc/fixpoint/policy.toml`, as the agent obeys it and as it tells the
 * server, so that plans can show it. Of what a name stands for on the host (a command), nothing leaves it.
 */
export interface HostPolicy {
  /** SHA-256 (hex) of the file. */
  readonly digest: string;
  /** Why the file cannot be read; everything is refused then. Null when all is well. */
  readonly problem: string | null;
  readonly patching: 'allow' | 'forbid';
  /** Names or patterns (`postgresql-*`) of packages that are never touched. */
  readonly forbidden_packages: readonly string[];
  /** Local times in which packages may be changed, `mon-fri 22:00-04:00`; empty: at any time. */
  readonly hours: readonly string[];
  readonly reboot: 'allow' | 'forbid';
  /** Local times in which the host may be rebooted; empty: at any time. */
  readonly reboot_hours: readonly string[];
  readonly rollback: 'allow' | 'forbid';
  /** Names of the actions that may be run before and after an installation. */
  readonly actions: readonly string[];
  /** Names of the commands that may be run as probes. */
  readonly probes: readonly string[];
  /** `host` or `host:port` that TCP and HTTP probes may reach besides the host itself. */
  readonly probe_targets: readonly string[];
  /** Names or patterns of units that are never restarted besides those that the agent leaves alone anyway; absent: none. */
  readonly never_restart?: readonly string[];
}
