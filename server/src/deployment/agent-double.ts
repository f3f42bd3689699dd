/**
 * For tests only: an agent that speaks the real contract over HTTP and does what the test says, instead of what an agent
 * would do. The real one is tried against the server in the lab.
 */
import { createHash, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { Value } from 'typebox/value';
import {
  CheckInResponse,
  TaskEventsResponse,
  type RefusalReport,
  type TaskEvent,
} from '@fixpoint/contract/agent.ts';
import {
  InstallOrder,
  Order,
  type OrderedPackage,
  type RebootOrder,
  type RollbackOrder,
  type SignedOrder,
} from '@fixpoint/contract/order.ts';
import { SimulationRequest, type SimulationResult } from '@fixpoint/contract/simulation.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type {
  Candidate,
  HostFacts,
  InstalledPackage,
  Inventory,
  ReportedMitigation,
  Residue,
} from '@fixpoint/core/inventory/inventory.ts';
import type { Static } from 'typebox';
import { rawPublicKey, publicKeyOf } from '../auth/keys.ts';
import { createEnrolmentToken } from '../auth/commands.ts';
import type { TestApp } from '../test-app.ts';

type Ordered = Static<typeof OrderedPackage>;

export interface HostDouble {
  packages: InstalledPackage[];
  candidates: Candidate[];
  residue: Residue[];
  held: string[];
  mitigations?: ReportedMitigation[];
  /** What differs from a plain container. */
  facts?: Partial<HostFacts>;
}

export function debianPackage(
  name: string,
  version: string,
  source = name,
  sourceVersion = version,
): InstalledPackage {
  return { name, arch: 'amd64', version, source, source_version: sourceVersion };
}

export function debianCandidate(name: string, version: string, source = name): Candidate {
  return {
    ...debianPackage(name, version, source),
    repository: 'bookworm-security/main',
    download_bytes: 1000,
  };
}

export class AgentDouble {
  readonly host: HostDouble;
  readonly hostname: string;
  readonly test: TestApp;
  uid = '';
  session = '';
  /** What it says that it runs. */
  bootId = 'boot-1';
  #key: KeyObject;
  #serverKey = '';
  #publicKey: string;
  #sent: Inventory | null = null;

  private constructor(test: TestApp, hostname: string, host: HostDouble) {
    const pair = generateKeyPairSync('ed25519');
    this.test = test;
    this.hostname = hostname;
    this.host = host;
    this.#key = pair.privateKey;
    this.#publicKey = rawPublicKey(pair.publicKey);
  }

  /** Enrols a host and sends its first inventory. */
  static async enrol(
    test: TestApp,
    hostname: string,
    host: HostDouble,
    options: { readonly tags?: readonly string[]; readonly mode?: 'assess' | 'manage' } = {},
  ): Promise<AgentDouble> {
    const agent = new AgentDouble(test, hostname, host);
    const created = await createEnrolmentToken(
      test.context,
      { kind: 'system', name: 'test' },
      { name: hostname, uses: 1, expires_in_minutes: 10, tags: [...(options.tags ?? [])] },
    );
    if (!created.ok) throw new Error(created.message);
    const token = created.value.secret;
    const secret = token.slice('fxe_'.length, token.indexOf('.'));
    const enrolled = await agent.post('/agent/v1/enroll', token, {
      public_key: agent.#publicKey,
      hostname,
      os: 'debian',
      os_release: '12',
      arch: 'amd64',
      agent_version: 'double',
      mode: options.mode ?? 'manage',
      proof: agent.#sign(`fixpoint-enroll-v1\n${secret}`),
    });
    agent.uid = String(enrolled.asset_id);
    agent.#serverKey = String(Object(enrolled.server_key).public_key);
    await agent.openSession();
    await agent.checkIn();
    await agent.sendInventory();
    return agent;
  }

  /** Opens a session; the one before may be over. */
  async openSession(): Promise<void> {
    const { challenge } = await this.post('/agent/v1/challenge', null, { asset_id: this.uid });
    const opened = await this.post('/agent/v1/session', null, {
      asset_id: this.uid,
      challenge,
      signature: this.#sign(`fixpoint-session-v1\n${this.uid}\n${String(challenge)}`),
    });
    this.session = String(opened.session);
  }

  #sign(text: string): string {
    return sign(null, Buffer.from(text), this.#key).toString('base64url');
  }

  /** Posts and answers the body; throws on anything but 200, unless `status` says what to expect. */
  async post(
    url: string,
    bearer: string | null,
    body: unknown,
    status = [200, 201],
  ): Promise<Record<string, unknown>> {
    const response = await this.test.app.inject({
      method: 'POST',
      url,
      payload: Object(body),
      ...(bearer === null ? {} : { headers: { authorization: `Bearer ${bearer}` } }),
    });
    if (response.statusCode === 401 && bearer === this.session && bearer !== '') {
      // time went by; agents open another one
      await this.openSession();
      return this.post(url, this.session, body, status);
    }
    if (!status.includes(response.statusCode)) {
      throw new Error(`${url} answered ${String(response.statusCode)}: ${response.body}`);
    }
    const answer: unknown = response.json();
    return Object(answer);
  }

  inventory(): Inventory {
    const host: HostFacts = {
      hostname: this.hostname,
      os: 'debian',
      os_release: '12',
      os_title: 'Debian GNU/Linux 12 (bookworm)',
      arch: 'amd64',
      addresses: ['10.0.0.1'],
      boot_id: this.bootId,
      booted_at: '2026-03-01T00:00:00Z',
      running_kernel: '6.1.0-25-amd64',
      kernels: [],
      machine: 'container',
      reboot_required: false,
      reboot_required_by: [],
      held: this.host.held,
      units: [],
      ...(this.host.mitigations === undefined ? {} : { mitigations: this.host.mitigations }),
      ...this.host.facts,
    };
    return structuredClone({
      packages: this.host.packages,
      candidates: this.host.candidates,
      host,
      residue: this.host.residue,
    });
  }

  digests() {
    return inventoryDigests(this.inventory());
  }

  async sendInventory(): Promise<void> {
    const inventory = this.inventory();
    await this.post('/agent/v1/inventory', this.session, {
      collected_at: this.test.clock.now().toISOString(),
      digests: inventoryDigests(inventory),
      ...inventory,
    });
    this.#sent = inventory;
  }

  get sent(): Inventory | null {
    return this.#sent;
  }

  /** Checks in; answers what came, after checking every signature. */
  async checkIn(
    tasks: readonly { task_id: string; generation: number; state: TaskEvent['state'] }[] = [],
  ): Promise<{
    orders: (SignedOrder & { order: Order })[];
    cancelled: string[];
    held: string[];
    seconds: number;
    questions: SimulationRequest[];
  }> {
    const answer = Value.Parse(
      CheckInResponse,
      await this.post('/agent/v1/check-in', this.session, {
        agent_version: 'double',
        boot_id: this.bootId,
        digests: this.digests(),
        tasks,
      }),
    );
    const read = (signed: SignedOrder, domain: string): unknown => {
      const valid = verify(
        null,
        Buffer.from(`${domain}\n${signed.payload}`),
        publicKeyOf(this.#serverKey),
        Buffer.from(signed.signature, 'base64url'),
      );
      if (!valid) throw new Error(`a text for ${domain} came with a signature that is not the server’s`);
      return JSON.parse(signed.payload);
    };
    const orders = answer.orders.map((signed) =>
      Object.assign(signed, { order: Value.Parse(Order, read(signed, 'fixpoint-order-v1')) }),
    );
    return {
      orders,
      cancelled: answer.cancelled_tasks,
      questions: (answer.simulations ?? []).map((signed) =>
        Value.Parse(SimulationRequest, read(signed, 'fixpoint-simulation-v1')),
      ),
      held: answer.held_tasks ?? [],
      seconds: answer.next_check_in_seconds,
    };
  }

  /** Checks in until an order comes, as agents do: a check-in that meets a decision under way gets none. Expects one. */
  async fetchOrder(): Promise<InstallOrder> {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const { orders } = await this.checkIn();
      const [first] = orders;
      if (orders.length > 1) throw new Error(`${String(orders.length)} orders came instead of one`);
      if (first !== undefined) return Value.Parse(InstallOrder, first.order);
    }
    throw new Error('no order came in 20 check-ins');
  }

  /** Checks in until a permission to reboot comes; null when none does. */
  async fetchReboot(attempts = 1): Promise<RebootOrder | null> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      for (const { order } of (await this.checkIn()).orders) if (order.action === 'reboot') return order;
    }
    return null;
  }

  /** Checks in once; expects the order to roll back. */
  async fetchRollback(): Promise<RollbackOrder> {
    for (const { order } of (await this.checkIn()).orders) if (order.action === 'roll_back') return order;
    throw new Error('no order to roll back came');
  }

  /** What the solver of this host would say: just what is asked for, and what the test says comes along. */
  simulated(question: SimulationRequest, changes: Partial<SimulationResult> = {}): SimulationResult {
    return {
      simulation_id: question.simulation_id,
      at: this.test.clock.now().toISOString(),
      upgraded: question.packages.map(({ name, arch, from, to }) => ({ name, arch, from, to })),
      added: [],
      removed: [],
      download_bytes: 2_000,
      disk_bytes: 100,
      disk_free_bytes: 10_000_000_000,
      restarts: [],
      reboot: false,
      rollback: { possible: true, reasons: [] },
      obstacles: [],
      remarks: [],
      output: '',
      ...changes,
    };
  }

  /** Fetches the only open question and answers it. */
  async answerQuestion(changes: Partial<SimulationResult> = {}): Promise<SimulationRequest> {
    const { questions } = await this.checkIn();
    const [question] = questions;
    if (question === undefined || questions.length > 1)
      throw new Error(`${String(questions.length)} questions came instead of one`);
    await this.post('/agent/v1/simulations', this.session, this.simulated(question, changes));
    return question;
  }

  async report(order: Order, events: readonly Omit<TaskEvent, 'at'>[]): Promise<TaskEventsResponse> {
    return Value.Parse(
      TaskEventsResponse,
      await this.post('/agent/v1/task-events', this.session, this.#events(order, events)),
    );
  }

  /** Reports what should be refused; answers the code. */
  async reportRefused(order: Order, events: readonly Omit<TaskEvent, 'at'>[]): Promise<string> {
    const { error } = await this.post(
      '/agent/v1/task-events',
      this.session,
      this.#events(order, events),
      [404, 409],
    );
    return String(Object(error).code);
  }

  #events(order: Order, events: readonly Omit<TaskEvent, 'at'>[]) {
    const at = this.test.clock.now().toISOString();
    return {
      task_id: order.task_id,
      generation: order.generation,
      events: events.map((event) => ({ at, ...event })),
    };
  }

  async refuse(
    signed: { payload: string } | string,
    report: Partial<RefusalReport>,
  ): Promise<Record<string, unknown>> {
    const payload = typeof signed === 'string' ? signed : signed.payload;
    return this.post('/agent/v1/refusals', this.session, {
      reason: 'signature_invalid',
      message: 'the signature does not fit',
      task_id: null,
      payload_digest: createHash('sha256').update(payload).digest('hex'),
      at: this.test.clock.now().toISOString(),
      ...report,
    });
  }

  /** The host as it is after the packages of the order are installed. */
  install(packages: readonly Ordered[]): void {
    this.host.packages = this.host.packages.map((p) => {
      const to = packages.find((one) => one.name === p.name && one.arch === p.arch);
      return to === undefined
        ? p
        : { ...p, version: to.to, source: to.source, source_version: to.source_version };
    });
    this.host.candidates = this.host.candidates.filter((c) => !packages.some((p) => p.name === c.name));
  }

  /** The host as it was before, by what the order says that it was. */
  putBack(packages: readonly Ordered[]): void {
    this.host.packages = this.host.packages.map((p) => {
      const one = packages.find((other) => other.name === p.name && other.arch === p.arch);
      return one === undefined ? p : debianPackage(p.name, one.from, one.source);
    });
    this.host.candidates = packages.map((one) => debianCandidate(one.name, one.to, one.source));
  }

  /** Does everything as ordered up to `installed`, and sends the inventory, as the real agent does before `verifying`. */
  async carryOut(order: InstallOrder): Promise<void> {
    await this.report(order, [
      { index: 0, state: 'downloading' },
      { index: 1, state: 'staged' },
      { index: 2, state: 'installing' },
    ]);
    this.install(order.packages);
    this.host.packages = [
      ...this.host.packages.filter((p) => !(order.removed ?? []).some((gone) => gone.name === p.name)),
      ...(order.added ?? []).map((p) => ({ ...p, source: p.name, source_version: p.version })),
    ];
    await this.report(order, [{ index: 3, state: 'installed', detail: { exit_code: 0 } }]);
    await this.sendInventory();
  }
}
