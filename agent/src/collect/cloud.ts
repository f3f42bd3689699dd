import { statSync } from 'node:fs';
import { join } from 'node:path';
import { readTextIfThere } from '../state-dir.ts';

/**
 * What the cloud says of this host, as far as it stands on the host already: in what cloud-init kept of the instance's
 * metadata, and in the tables that the machine's firmware gives to the kernel (DMI). Nothing is asked of the network. Only
 * what stays the same while the host runs, so that the digest of what the host reports does.
 */

/** Names of the values; those that are not known are not there. */
export type CloudFacts = Readonly<Partial<Record<CloudFact, string>>>;
const cloudFacts = [
  'provider',
  'region',
  'zone',
  'instance_type',
  'instance_id',
  'account',
  'image',
] as const;
type CloudFact = (typeof cloudFacts)[number];

/** Files of /sys/class/dmi/id that tell of a cloud, and that everybody may read. */
const dmiFiles = [
  'sys_vendor',
  'product_name',
  'board_vendor',
  'board_asset_tag',
  'chassis_vendor',
  'chassis_asset_tag',
  'bios_vendor',
  'bios_version',
] as const;
export type Dmi = Readonly<Partial<Record<(typeof dmiFiles)[number], string>>>;

const longest = 256;

/** What cloud-init calls the clouds; others keep its name. */
const providers: Readonly<Record<string, string>> = { gce: 'gcp', ec2: 'aws', aliyun: 'alibaba' };
/** Sources of configuration that are no cloud, or do not say which. */
const noProvider = new Set([
  '',
  'none',
  'nocloud',
  'unknown',
  'fallback',
  'lxd',
  'configdrive',
  'ovf',
  'seed',
]);

/** As cloud-init's ds-identify and the clouds' own documentation tell machines apart. */
function providerOfDmi(dmi: Dmi): string | null {
  const { sys_vendor = '', product_name = '', chassis_asset_tag = '', bios_version = '' } = dmi;
  if (sys_vendor === 'Amazon EC2' || /\bamazon\b/iu.test(bios_version)) return 'aws';
  // Hyper-V has the same vendor; only Azure has this tag.
  if (chassis_asset_tag === '7783-7084-3265-9085-8269-3286-77') return 'azure';
  if (sys_vendor === 'Google' && product_name === 'Google Compute Engine') return 'gcp';
  if (
    product_name.startsWith('OpenStack') ||
    /^(?:OpenTelekomCloud|SAP CCloud VM|HUAWEICLOUD)$/u.test(chassis_asset_tag)
  )
    return 'openstack';
  if (chassis_asset_tag === 'OracleCloud.com') return 'oracle';
  if (product_name === 'Alibaba Cloud ECS') return 'alibaba';
  if (sys_vendor === 'DigitalOcean') return 'digitalocean';
  if (sys_vendor === 'Hetzner') return 'hetzner';
  if (sys_vendor === 'Scaleway') return 'scaleway';
  if (sys_vendor === 'Vultr') return 'vultr';
  return null;
}

/** What DMI tells: which cloud, and on EC2's Nitro machines type and id of the instance as well. */
function factsOfDmi(dmi: Dmi): CloudFacts {
  const provider = providerOfDmi(dmi);
  if (provider === null) return {};
  if (provider !== 'aws' || dmi.sys_vendor !== 'Amazon EC2') return { provider };
  const { product_name: type = '', board_asset_tag: id = '' } = dmi;
  return {
    provider,
    ...(/^[a-z][a-z0-9-]*\.[a-z0-9-]+$/u.test(type) ? { instance_type: type } : {}),
    ...(/^i-[0-9a-f]+$/u.test(id) ? { instance_id: id } : {}),
  };
}

/** The value at a path of JSON that others wrote. cloud-init writes names with `-` also with `_`. */
function valueAt(json: unknown, path: string): unknown {
  let value = json;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    const entry = Object.entries(value).find(([key]) => key.replaceAll('-', '_') === name);
    value = entry?.[1];
  }
  return value;
}

/** The first of these places that has a text; of a path of resources, `projects/1/machineTypes/n1-standard-1`, its end. */
function firstText(json: unknown, paths: readonly string[]): string | null {
  for (const path of paths) {
    const value = valueAt(json, path);
    if (typeof value !== 'string' && typeof value !== 'number') continue;
    const text = String(value).trim();
    const short = /^projects\/[^/]+\/(?:machineTypes|zones)\/([^/]+)$/u.exec(text)?.[1] ?? text;
    if (short !== '' && short.length <= longest && !short.startsWith('redacted for')) return short;
  }
  return null;
}

/** Where cloud-init keeps what: under `v1` for every cloud, under `ds` as the cloud itself says it. */
const places: Readonly<Record<Exclude<CloudFact, 'provider'>, readonly string[]>> = {
  region: ['v1.region', 'ds.meta_data.imds.compute.location', 'ds.meta_data.region'],
  zone: [
    'v1.availability_zone',
    'ds.meta_data.placement.availability_zone',
    'ds.meta_data.imds.compute.zone',
    'ds.meta_data.availability_zone',
  ],
  instance_type: [
    'ds.meta_data.instance_type',
    'ds.dynamic.instance_identity.document.instanceType',
    'ds.meta_data.imds.compute.vmSize',
    'ds.meta_data.machine_type',
    'ds.meta_data.instance_data.machineType',
    'ds.ec2_metadata.instance_type',
    'ds.meta_data.shape',
  ],
  instance_id: ['v1.instance_id', 'ds.meta_data.instance_id', 'ds.meta_data.uuid'],
  account: [
    'ds.dynamic.instance_identity.document.accountId',
    'ds.meta_data.imds.compute.subscriptionId',
    'ds.meta_data.project_id',
    'ds.meta_data.owner_account_id',
    'ds.meta_data.compartmentId',
  ],
  image: [
    'ds.meta_data.ami_id',
    'ds.dynamic.instance_identity.document.imageId',
    'ds.meta_data.imds.compute.storageProfile.imageReference.id',
    'ds.meta_data.imds.compute.storageProfile.imageReference.sku',
    'ds.meta_data.image',
    'ds.meta_data.image_id',
    'ds.ec2_metadata.ami_id',
  ],
};

function factsOfInstanceData(json: unknown): CloudFacts | null {
  const name = (firstText(json, ['v1.cloud_name', 'v1.platform']) ?? '').toLowerCase();
  if (noProvider.has(name)) return null;
  const provider = providers[name] ?? name;
  if (!/^[a-z][a-z0-9._-]*$/u.test(provider)) return null;
  const facts: Partial<Record<CloudFact, string>> = { provider };
  for (const fact of cloudFacts) {
    const value = fact === 'provider' ? null : firstText(json, places[fact]);
    if (value !== null) facts[fact] = value;
  }
  // Azure says its zones as bare numbers: a zone is one of its region.
  if (provider === 'azure' && /^\d$/u.test(facts.zone ?? '') && facts.region !== undefined) {
    facts.zone = `${facts.region}-${facts.zone ?? ''}`;
  }
  return facts;
}

/**
 * What the cloud says of a host; `{}` when it is in none, null when nothing here tells. cloud-init knows more than DMI, and what
 * it does not say is taken from DMI when both mean the same cloud. Where they do not, the machine is believed: a disk can
 * be moved, and cloud-init need not have run since.
 *
 * @param dmi null: the kernel does not show it
 * @param instanceData text of cloud-init's instance-data.json; null: there is none
 */
export function parseCloud(dmi: Dmi | null, instanceData: string | null): CloudFacts | null {
  const machine = dmi === null ? null : factsOfDmi(dmi);
  let kept: CloudFacts | null = null;
  try {
    if (instanceData !== null) kept = factsOfInstanceData(JSON.parse(instanceData));
  } catch {
    // Half a file, or another one: then only the machine tells.
  }
  if (machine === null) return kept ?? null;
  if (kept === null) return machine;
  // OpenStack is what many clouds are built of, and need not have a name of its own in DMI.
  if (
    machine.provider === undefined ||
    machine.provider === kept.provider ||
    machine.provider === 'openstack'
  )
    return { ...machine, ...kept };
  return machine;
}

function readDmi(root: string): Dmi | null {
  const folder = join(root, 'sys/class/dmi/id');
  const dmi: Partial<Record<keyof Dmi, string>> = {};
  for (const file of dmiFiles) {
    try {
      const text = readTextIfThere(join(folder, file))?.trim();
      if (text !== undefined && text !== '') dmi[file] = text.slice(0, longest);
    } catch {
      // Some machines let nobody, or not everybody, read some of it.
    }
  }
  return Object.keys(dmi).length === 0 ? null : dmi;
}

/** Of this boot, else of the last one that cloud-init ran in. */
const instanceDataFiles = [
  'run/cloud-init/instance-data.json',
  'var/lib/cloud/instance/instance-data.json',
  'var/lib/cloud/data/instance-data.json',
] as const;
const largestFile = 4 * 1024 * 1024;

function readInstanceData(root: string): string | null {
  for (const file of instanceDataFiles) {
    const path = join(root, file);
    try {
      if (statSync(path).size > largestFile) continue;
      const text = readTextIfThere(path);
      if (text !== null) return text;
    } catch {
      // Not there, or not for us.
    }
  }
  return null;
}

/** What the cloud says of this host; `{}`: it is in none; null: nothing here tells. */
export function collectCloud(root = '/'): CloudFacts | null {
  return parseCloud(readDmi(root), readInstanceData(root));
}
