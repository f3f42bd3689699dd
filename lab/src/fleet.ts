/** The lab as a caller takes it: a base root, a network and hosts, started together and gone together. */
import { type BaseRoot, baseRoot } from './base-root.ts';
import { type BootHostOptions, type Host, bootHost } from './host.ts';
import { startRun } from './lab-run.ts';
import { type LabNetwork, startNetwork } from './network.ts';

export interface Lab {
  readonly base: BaseRoot;
  readonly network: LabNetwork;
  /** A folder of this run, deleted with it: for repositories, certificates and the like. */
  readonly folder: string;
  /** Every host booted so far and not stopped. */
  readonly hosts: () => readonly Host[];
  readonly bootHost: (options: BootHostOptions) => Promise<Host>;
  /** Boots several, two at a time. If one fails, the others are left running and its error is thrown. */
  readonly bootHosts: (options: readonly BootHostOptions[]) => Promise<Host[]>;
  /** Ends all hosts and takes away everything that was made. Also done when the process ends without it. */
  readonly stop: () => Promise<void>;
}

/** As many boots at a time as a small machine has cores. */
const BOOTS_AT_A_TIME = 2;

/** Starts the lab: base root (built if need be), network; no host yet. Check `prerequisites()` first. */
export async function startLab(options: { onProgress: (line: string) => void }): Promise<Lab> {
  const { onProgress } = options;
  const base = await baseRoot(options);
  const run = await startRun(options);
  try {
    const network = await startNetwork(run, options);
    const hosts = new Set<Host>();

    const boot = async (given: BootHostOptions): Promise<Host> => {
      const setting = { run, network, baseFolder: base.folder, onProgress };
      const host = await bootHost(setting, given);
      const listed: Host = {
        ...host,
        async stop() {
          hosts.delete(listed);
          await host.stop();
        },
      };
      hosts.add(listed);
      return listed;
    };

    return {
      base,
      network,
      folder: run.folder,
      hosts: () => [...hosts],
      bootHost: boot,
      async bootHosts(all) {
        const booted: Host[] = Array.from({ length: all.length });
        let next = 0;
        const worker = async (): Promise<void> => {
          for (let at = next; at < all.length; at = next) {
            next += 1;
            const given = all[at];
            if (given !== undefined) booted[at] = await boot(given);
          }
        };
        const results = await Promise.allSettled(Array.from({ length: BOOTS_AT_A_TIME }, worker));
        for (const result of results) if (result.status === 'rejected') throw result.reason;
        return booted;
      },
      async stop() {
        try {
          await Promise.all([...hosts].map((host) => host.stop()));
        } finally {
          run.stop();
        }
      },
    };
  } catch (error) {
    run.stop();
    throw error;
  }
}
