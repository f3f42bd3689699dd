import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const problems = (env: Record<string, string>) => {
  const read = readConfig({ FIXPOINT_DATA: '/data', ...env });
  return read.ok ? [] : read.problems.map((problem) => problem.variable);
};

describe('the configuration', () => {
  it('has a value for everything', () => {
    const read = readConfig({ FIXPOINT_DATA: '/data' });
    expect(read.ok && read.config).toMatchObject({
      host: '127.0.0.1',
      port: 8420,
      tls: null,
      dataFolder: '/data',
      databaseUrl: null,
      checkInSeconds: 60,
      activeCheckInSeconds: 1,
      distributionLimitBytes: 20 * 1024 ** 3,
      distributionBytesPerSecond: null,
      distributionClientBytesPerSecond: null,
    });
  });

  it('is read from the environment', () => {
    const read = readConfig({
      FIXPOINT_DATA: '/data',
      FIXPOINT_LISTEN: '[::1]:0',
      FIXPOINT_TLS_CERT: 'a.pem',
      FIXPOINT_TLS_KEY: 'b.pem',
      FIXPOINT_CHECK_IN_SECONDS: '0.5',
      FIXPOINT_TRUSTED_PROXIES: '10.0.0.1, 10.1.0.0/16',
      FIXPOINT_DISTRIBUTION_LIMIT: '500M',
      FIXPOINT_DISTRIBUTION_BANDWIDTH: '10M',
      FIXPOINT_DISTRIBUTION_CLIENT_BANDWIDTH: '64k',
      DATABASE_URL: 'postgres://localhost/x',
      // Set and empty is not set.
      FIXPOINT_LOG_LEVEL: '',
      HOME: '/root',
    });
    expect(read.ok && read.config).toMatchObject({
      host: '::1',
      port: 0,
      tls: { certificateFile: 'a.pem', keyFile: 'b.pem' },
      checkInSeconds: 0.5,
      trustedProxies: ['10.0.0.1', '10.1.0.0/16'],
      distributionLimitBytes: 500 * 1024 ** 2,
      distributionBytesPerSecond: 10 * 1024 ** 2,
      distributionClientBytesPerSecond: 65_536,
      databaseUrl: 'postgres://localhost/x',
      logLevel: 'info',
    });
  });

  it.each([
    [{ FIXPOINT_LISTEN: '8420' }, ['FIXPOINT_LISTEN']],
    [{ FIXPOINT_LISTEN: 'localhost:99999' }, ['FIXPOINT_LISTEN']],
    [{ FIXPOINT_TLS_CERT: 'a.pem' }, ['FIXPOINT_TLS_KEY']],
    [{ FIXPOINT_TLS_KEY: 'a.pem' }, ['FIXPOINT_TLS_CERT']],
    [{ FIXPOINT_CHECK_IN_SECONDS: 'often' }, ['FIXPOINT_CHECK_IN_SECONDS']],
    [{ FIXPOINT_ACTIVE_CHECK_IN_SECONDS: '0.1' }, ['FIXPOINT_ACTIVE_CHECK_IN_SECONDS']],
    [{ FIXPOINT_LOG_LEVEL: 'loud' }, ['FIXPOINT_LOG_LEVEL']],
    [{ FIXPOINT_DISTRIBUTION_LIMIT: 'much' }, ['FIXPOINT_DISTRIBUTION_LIMIT']],
    [{ FIXPOINT_DISTRIBUTION_BANDWIDTH: '10' }, ['FIXPOINT_DISTRIBUTION_BANDWIDTH']],
    [{ DATABASE_URL: 'mysql://localhost' }, ['DATABASE_URL']],
    [{ FIXPOINT_LISTN: '127.0.0.1:1', FIXPOINT_LOG_LEVEL: 'loud' }, ['FIXPOINT_LISTN', 'FIXPOINT_LOG_LEVEL']],
  ])('names what is wrong in %j', (env, expected) => {
    expect(problems(env)).toEqual(expected);
  });

  it('leaves the variables of agents, tools and tests alone', () => {
    expect(
      problems({
        FIXPOINT_TOKEN: 'x',
        FIXPOINT_SERVER: 'x',
        FIXPOINT_AGENT_STATE: 'x',
        FIXPOINT_LAB_CACHE: 'x',
      }),
    ).toEqual([]);
  });
});
