import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { defaultDataFolder } from './database/cluster.ts';
import { readByteSize } from './distribution/bucket.ts';

const text = Type.String({ minLength: 1 });
const digits = Type.String({ pattern: '^[0-9]{1,9}$' });
const decimal = Type.String({ pattern: '^[0-9]{1,6}(\\.[0-9]{1,3})?$' });

const byteSize = Type.String({ pattern: '^[0-9]{1,12} ?([kKmMgGtT](i?B)?)?$' });

/** Every variable of the environment that the server reads. A FIXPOINT_ name that is not here is refused, as a typing error. */
const Environment = Type.Object(
  {
    /** `host:port` to listen on; `[::1]:8420` for IPv6; port 0 takes any free one. */
    FIXPOINT_LISTEN: Type.Optional(Type.String({ pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[^:\\s]+):[0-9]{1,5}$' })),
    /** PEM files. Both or none. */
    FIXPOINT_TLS_CERT: Type.Optional(text),
    FIXPOINT_TLS_KEY: Type.Optional(text),
    /** Folder with the embedded database, downloaded packages and the operator's token. */
    FIXPOINT_DATA: Type.Optional(text),
    /** Seconds between the check-ins of an asset with nothing to do, and of one with a task. */
    FIXPOINT_CHECK_IN_SECONDS: Type.Optional(decimal),
    FIXPOINT_ACTIVE_CHECK_IN_SECONDS: Type.Optional(decimal),
    /** Requests a minute from one address: for signing in, and for enrolling hosts. */
    FIXPOINT_SIGN_INS_PER_MINUTE: Type.Optional(digits),
    FIXPOINT_ENROLMENTS_PER_MINUTE: Type.Optional(digits),
    /** Addresses or networks of reverse proxies whose X-Forwarded-For is believed, separated by commas. */
    FIXPOINT_TRUSTED_PROXIES: Type.Optional(text),
    /**
     * Repositories that agents may fetch packages from through the server, separated by blanks or commas: `http://HOST/path/`,
     * `http://NAME/path/=file:///folder`, or `apt` for those of this machine's own apt sources.
     */
    FIXPOINT_REPOSITORIES: Type.Optional(text),
    /** The distribution point keeps so much on disk: `20G`. */
    FIXPOINT_DISTRIBUTION_LIMIT: Type.Optional(byteSize),
    /** It fetches no faster than this, in all, and one client gets no more, per second: `10M`. Without: no limit. */
    FIXPOINT_DISTRIBUTION_BANDWIDTH: Type.Optional(byteSize),
    FIXPOINT_DISTRIBUTION_CLIENT_BANDWIDTH: Type.Optional(byteSize),
    /**
     * Whether feeds are downloaded: `on`, all of them, but for those that are switched off; `enabled` (default), those that
     * an administrator has enabled, and any when somebody asks for it; `off`, none, whoever asks.
     */
    FIXPOINT_FEED_SYNC: Type.Optional(Type.Enum(['on', 'enabled', 'off'])),
    /** Proxies for downloading feeds, as other programs read them; lower case works too. */
    HTTPS_PROXY: Type.Optional(text),
    HTTP_PROXY: Type.Optional(text),
    NO_PROXY: Type.Optional(text),
    https_proxy: Type.Optional(text),
    http_proxy: Type.Optional(text),
    no_proxy: Type.Optional(text),
    FIXPOINT_LOG_LEVEL: Type.Optional(
      Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    ),
    DATABASE_URL: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
  },
  { additionalProperties: true },
);
const environment = Compile(Environment);

/** What a person should write, where the schema says it as a pattern. */
const forms: Readonly<Record<string, string>> = {
  FIXPOINT_LISTEN: 'is an address and a port: 127.0.0.1:8420, or [::1]:8420',
  FIXPOINT_CHECK_IN_SECONDS: 'is a number of seconds: 60, or 0.5',
  FIXPOINT_ACTIVE_CHECK_IN_SECONDS: 'is a number of seconds: 1, or 0.5',
  FIXPOINT_SIGN_INS_PER_MINUTE: 'is a whole number',
  FIXPOINT_ENROLMENTS_PER_MINUTE: 'is a whole number',
  FIXPOINT_DISTRIBUTION_LIMIT: 'is a number of bytes: 20G, or 500M',
  FIXPOINT_DISTRIBUTION_BANDWIDTH: 'is a number of bytes a second: 10M, or 500k',
  FIXPOINT_DISTRIBUTION_CLIENT_BANDWIDTH: 'is a number of bytes a second: 10M, or 500k',
  DATABASE_URL: 'begins with postgres:// or postgresql://',
};

/** FIXPOINT_ variables that other parts of Fixpoint read in the same environment: whole names, or how they begin. */
const namesOfOthers = /^FIXPOINT_(SERVER|TOKEN|KNOWLEDGE|AGENT_.*|LAB_.*)$/;

export interface Config {
  readonly host: string;
  readonly port: number;
  /** Names of PEM files; null: plain HTTP. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null;
  readonly dataFolder: string;
  /** Null: the embedded PostgreSQL in the data folder. */
  readonly databaseUrl: string | null;
  readonly checkInSeconds: number;
  readonly activeCheckInSeconds: number;
  readonly signInsPerMinute: number;
  readonly enrolmentsPerMinute: number;
  readonly trustedProxies: readonly string[];
  /** As distribution/repositories.ts reads it. */
  readonly repositories: string;
  readonly distributionLimitBytes: number;
  /** Null: no limit. */
  readonly distributionBytesPerSecond: number | null;
  readonly distributionClientBytesPerSecond: number | null;
  readonly feedSync: 'on' | 'enabled' | 'off';
  /** HTTPS_PROXY and its like, as they were set. */
  readonly proxy: Readonly<Record<string, string>>;
  readonly logLevel: string;
}

export interface ConfigProblem {
  readonly variable: string;
  readonly message: string;
}

/** Reads the configuration out of an environment. All problems are reported, not only the first. */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
): { ok: true; config: Config } | { ok: false; problems: ConfigProblem[] } {
  const set = Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
    ),
  );
  const problems: ConfigProblem[] = [];
  for (const name of Object.keys(set)) {
    if (!name.startsWith('FIXPOINT_') || namesOfOthers.test(name)) continue;
    if (!Object.hasOwn(Environment.properties, name)) {
      problems.push({
        variable: name,
        message: `there is no such setting; known are ${Object.keys(Environment.properties).join(', ')}`,
      });
    }
  }
  if (!environment.Check(set)) {
    for (const error of environment.Errors(set)) {
      const variable = error.instancePath.slice(1);
      problems.push({ variable, message: forms[variable] ?? error.message });
    }
    return { ok: false, problems };
  }
  const values: Static<typeof Environment> = set;
  const listen = values.FIXPOINT_LISTEN ?? '127.0.0.1:8420';
  const colon = listen.lastIndexOf(':');
  const port = Number(listen.slice(colon + 1));
  if (port > 65_535) problems.push({ variable: 'FIXPOINT_LISTEN', message: 'a port is at most 65535' });
  const { FIXPOINT_TLS_CERT: certificateFile, FIXPOINT_TLS_KEY: keyFile } = values;
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    problems.push({
      variable: certificateFile === undefined ? 'FIXPOINT_TLS_CERT' : 'FIXPOINT_TLS_KEY',
      message: 'the certificate and its key are given together or not at all',
    });
  }
  // The bounds of next_check_in_seconds in contract/src/agent.ts.
  for (const name of ['FIXPOINT_CHECK_IN_SECONDS', 'FIXPOINT_ACTIVE_CHECK_IN_SECONDS'] as const) {
    const seconds = Number(values[name] ?? 1);
    if (seconds < 0.2 || seconds > 86_400) {
      problems.push({ variable: name, message: 'is at least 0.2 and at most 86400 seconds' });
    }
  }
  const limitBytes = readByteSize(values.FIXPOINT_DISTRIBUTION_LIMIT ?? '20G') ?? 0;
  const bandwidth = readByteSize(values.FIXPOINT_DISTRIBUTION_BANDWIDTH ?? '');
  const clientBandwidth = readByteSize(values.FIXPOINT_DISTRIBUTION_CLIENT_BANDWIDTH ?? '');
  for (const [variable, rate] of [
    ['FIXPOINT_DISTRIBUTION_BANDWIDTH', bandwidth],
    ['FIXPOINT_DISTRIBUTION_CLIENT_BANDWIDTH', clientBandwidth],
  ] as const) {
    if (rate !== null && rate < 1024) problems.push({ variable, message: 'is at least 1k a second' });
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    config: {
      host: listen.slice(0, colon).replace(/^\[|\]$/g, ''),
      port,
      tls: certificateFile !== undefined && keyFile !== undefined ? { certificateFile, keyFile } : null,
      dataFolder: defaultDataFolder(env, process.getuid?.() === 0),
      databaseUrl: values.DATABASE_URL ?? null,
      checkInSeconds: Number(values.FIXPOINT_CHECK_IN_SECONDS ?? 60),
      activeCheckInSeconds: Number(values.FIXPOINT_ACTIVE_CHECK_IN_SECONDS ?? 1),
      signInsPerMinute: Number(values.FIXPOINT_SIGN_INS_PER_MINUTE ?? 10),
      enrolmentsPerMinute: Number(values.FIXPOINT_ENROLMENTS_PER_MINUTE ?? 120),
      trustedProxies: values.FIXPOINT_TRUSTED_PROXIES?.split(',').map((proxy) => proxy.trim()) ?? [],
      repositories: values.FIXPOINT_REPOSITORIES ?? 'apt',
      distributionLimitBytes: limitBytes,
      distributionBytesPerSecond: bandwidth,
      distributionClientBytesPerSecond: clientBandwidth,
      feedSync: values.FIXPOINT_FEED_SYNC ?? 'enabled',
      proxy: Object.fromEntries(Object.entries(set).filter(([name]) => /^(https?|no)_proxy$/i.test(name))),
      logLevel: values.FIXPOINT_LOG_LEVEL ?? 'info',
    },
  };
}

/** The configuration without an environment; for tests and tools. */
export function defaultConfig(changes: Partial<Config> = {}): Config {
  const read = readConfig({ FIXPOINT_DATA: '.fixpoint' });
  if (!read.ok) throw new Error('the defaults are not a configuration');
  return { ...read.config, ...changes };
}
