import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HostFacts } from '@fixpoint/contract/inventory.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { collectCloud, parseCloud, type Dmi } from './cloud.ts';

const recorded = (name: string) => readFileSync(join(import.meta.dirname, 'recorded/cloud', name), 'utf8');
const nitro: Dmi = {
  sys_vendor: 'Amazon EC2',
  product_name: 't3.micro',
  board_vendor: 'Amazon EC2',
  board_asset_tag: 'i-0929128ff2f73a2f1',
};
const azure: Dmi = {
  sys_vendor: 'Microsoft Corporation',
  product_name: 'Virtual Machine',
  chassis_asset_tag: '7783-7084-3265-9085-8269-3286-77',
};
const google: Dmi = { sys_vendor: 'Google', product_name: 'Google Compute Engine' };
const nova: Dmi = { sys_vendor: 'OpenStack Foundation', product_name: 'OpenStack Nova' };
const desktop: Dmi = {
  sys_vendor: 'Dell Inc.',
  product_name: 'OptiPlex 7010',
  chassis_asset_tag: 'Default string',
};

describe('of a host in a cloud', () => {
  it.each([
    [
      'aws.json',
      { sys_vendor: 'Xen', product_name: 'HVM domU', bios_version: '4.11.amazon' },
      {
        provider: 'aws',
        region: 'us-east-1',
        zone: 'us-east-1b',
        instance_type: 't2.micro',
        instance_id: 'i-0929128ff2f73a2f1',
        account: '329910648901',
        image: 'ami-02e8aa396f8be3b6d',
      },
    ],
    [
      'azure.json',
      azure,
      {
        provider: 'azure',
        region: 'westeurope',
        zone: 'westeurope-1',
        instance_type: 'Standard_B2s',
        instance_id: '02aab8a4-74ef-476e-8182-f6d2ba4166a6',
        account: '8d10da13-8125-4ba9-a717-bf7490507b3d',
        image: '12',
      },
    ],
    [
      'gcp.json',
      google,
      {
        provider: 'gcp',
        region: 'europe-west4',
        zone: 'europe-west4-a',
        instance_type: 'e2-small',
        instance_id: '4520031799277581759',
        account: 'example-project',
        image: 'projects/debian-cloud/global/images/debian-12-bookworm-v20260910',
      },
    ],
    [
      'openstack.json',
      nova,
      {
        provider: 'openstack',
        zone: 'nova',
        instance_type: 'm1.small',
        instance_id: '1af1cc4f-a2b0-4df3-a5ad-d0c1a8d6c5a8',
        account: '039d104b7a5c4631b4ba6524d0b9e981',
        image: 'ami-0000c0de',
      },
    ],
  ] as const)('cloud-init has kept all there is: %s', (file, dmi, expected) => {
    expect(parseCloud(dmi, recorded(file))).toEqual(expected);
    expect(parseCloud(null, recorded(file)), 'also where there is no DMI').toEqual(expected);
  });

  it.each([
    [nitro, { provider: 'aws', instance_type: 't3.micro', instance_id: 'i-0929128ff2f73a2f1' }],
    [{ sys_vendor: 'Amazon EC2', product_name: 'Not Specified' }, { provider: 'aws' }],
    [azure, { provider: 'azure' }],
    [google, { provider: 'gcp' }],
    [nova, { provider: 'openstack' }],
    [{ chassis_asset_tag: 'OpenTelekomCloud' }, { provider: 'openstack' }],
    [{ chassis_asset_tag: 'OracleCloud.com' }, { provider: 'oracle' }],
    [{ sys_vendor: 'Hetzner', product_name: 'vServer' }, { provider: 'hetzner' }],
  ])('without cloud-init the machine says which: %j', (dmi, expected) => {
    expect(parseCloud(dmi, null)).toEqual(expected);
  });

  it('the machine is believed where a disk was moved', () => {
    expect(parseCloud(azure, recorded('aws.json'))).toEqual({ provider: 'azure' });
  });

  it('a redacted or endless value is left out', () => {
    const data = {
      v1: { cloud_name: 'aws', region: 'redacted for non-root user', instance_id: 'x'.repeat(300) },
      ds: { meta_data: { instance_type: { not: 'text' } } },
    };
    expect(parseCloud(null, JSON.stringify(data))).toEqual({ provider: 'aws' });
  });
});

describe('of a host in no cloud', () => {
  it.each([
    ['a machine', desktop, null],
    ['Hyper-V, which has the vendor of Azure', { sys_vendor: 'Microsoft Corporation' }, null],
    ['a machine of its own that cloud-init has set up', desktop, recorded('nocloud.json')],
  ])('that is said: %s', (_, dmi, data) => {
    expect(parseCloud(dmi, data)).toEqual({});
  });

  it.each([
    ['nothing', null],
    ['half a file', '{"v1": {'],
    ['another file', '[]'],
    ['no cloud of cloud-init’s', recorded('nocloud.json')],
  ])('it is not known when there is no DMI, and %s', (_, data) => {
    expect(parseCloud(null, data)).toBeNull();
  });
});

describe('what is on a host', () => {
  it('is read, the same each time, and is as the contract has it', () => {
    const root = mkdtempSync(join(tmpdir(), 'fixpoint-cloud-'));
    try {
      expect(collectCloud(root)).toBeNull();
      mkdirSync(join(root, 'sys/class/dmi/id'), { recursive: true });
      writeFileSync(join(root, 'sys/class/dmi/id/sys_vendor'), 'QEMU\n');
      expect(collectCloud(root)).toEqual({});
      mkdirSync(join(root, 'run/cloud-init'), { recursive: true });
      writeFileSync(join(root, 'run/cloud-init/instance-data.json'), recorded('openstack.json'));
      const cloud = collectCloud(root);
      expect(cloud).toMatchObject({ provider: 'openstack', zone: 'nova' });
      expect(collectCloud(root)).toEqual(cloud);
      expect(parseShape(HostFacts.properties.cloud, cloud).ok).toBe(true);
      expect(parseShape(HostFacts.properties.cloud, { 'Not a name': 'x' }).ok).toBe(false);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
