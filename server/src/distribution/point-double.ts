/** For tests only: a server with its distribution point and one asset. */
import type { Config } from '../config.ts';
import { testFleet, type Fleet } from '../deployment/fleet-double.ts';
import { afterTest, getThrough, portOf, temporaryFolder, type Got } from './http-double.ts';
import { routes as distributionRoutes } from './routes.ts';

export { afterTest, cleanUp, upstreamServer } from './http-double.ts';

export interface Point {
  readonly fleet: Fleet;
  readonly port: number;
  readonly folder: string;
  readonly credentials: string;
  /** Waits until nothing is on its way any more and so many files are kept. */
  kept(files: number): Promise<void>;
  get(url: string, headers?: Record<string, string>, method?: string): Promise<Got>;
}

export async function distributionPoint(repositories: string, config: Partial<Config> = {}): Promise<Point> {
  const folder = temporaryFolder();
  const fleet = await testFleet({ dataFolder: folder, repositories, ...config }, [distributionRoutes]);
  afterTest(() => fleet.close());
  await fleet.app.listen({ host: '127.0.0.1', port: 0 });
  const port = portOf(fleet.app.server);
  const agent = await fleet.enrol('web-1');
  const credentials = `${agent.uid}:${agent.session}`;
  return {
    fleet,
    port,
    folder,
    credentials,
    async kept(files) {
      let before = -1;
      for (let i = 0; i < 200; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        const { body } = await fleet.call('GET', '/api/v1/distribution');
        if (Number(body.files) >= files && body.fetched_bytes === before) return;
        before = Number(body.fetched_bytes);
      }
      throw new Error(`${String(files)} files were to be kept`);
    },
    get: (url, headers = {}, method = 'GET') =>
      getThrough(
        port,
        url,
        { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`, ...headers },
        method,
      ),
  };
}
