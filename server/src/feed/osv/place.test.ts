import { expect, test } from 'vitest';
import { redhatPlace } from '../redhat-osv/redhat-osv.ts';
import { ubuntuPlace } from '../ubuntu-osv/ubuntu-osv.ts';
import type { Placing } from './dialect.ts';
import { opensusePlace, susePlace } from './suse.ts';

/** `9`, `9 in eus:9.2`, or why there is no place. */
function told(place: Placing): string {
  if (typeof place === 'string') return place;
  return place.channel === null ? place.release : `${place.release} in ${place.channel}`;
}

test.each([
  ['22.04:LTS', '22.04'],
  ['23.10', '23.10'],
  ['Pro:20.04:LTS', '20.04 in pro'],
  ['Pro:FIPS:20.04:LTS', '20.04 in fips'],
  ['Pro:FIPS-updates:22.04:LTS', '22.04 in fips-updates'],
  ['Pro:FIPS-preview:22.04:LTS', '22.04 in fips-preview'],
  ['Pro:Realtime:24.04:LTS', '24.04 in realtime'],
  ['Pro:22.04:LTS:Realtime:Kernel', '22.04 in realtime'],
  ['22.04:LTS:for:NVIDIA:BlueField', '22.04 in nvidia-bluefield'],
  ['Nvidia-BlueField:22.04:LTS', '22.04 in nvidia-bluefield'],
  ['', 'release_missing'],
  ['Pro', 'release_missing'],
])('Ubuntu:%s → %s', (qualifier, expected) => {
  expect(told(ubuntuPlace(qualifier, {}))).toBe(expected);
});

test('the archive in the purl is surer than the name of the ecosystem', () => {
  const affected = { package: { purl: 'pkg:deb/ubuntu/openssl@1?arch=source&distro=fips-updates/xenial' } };
  expect(told(ubuntuPlace('Pro:FIPS:16.04:LTS', affected))).toBe('16.04 in fips-updates');
  expect(told(ubuntuPlace('Pro:16.04:LTS', affected))).toBe('16.04 in pro');
});

test.each([
  ['enterprise_linux:9::appstream', '1-1.el9', '9'],
  ['enterprise_linux:7::server', '1-1.el7_9', '7'],
  ['enterprise_linux:10.1', '1-1.el10_1', '10'],
  ['enterprise_linux:9::fastdatapath', '1-1.el9fdp', '9 in product:fastdatapath'],
  ['rhel_eus:9.2::baseos', '1-1.el9_2', '9 in eus:9.2'],
  ['rhel_aus:7.7::server', '1-1.el7_7', '7 in aus:7.7'],
  ['rhel_e4s:8.6::sap_hana', '1-1.el8_6', '8 in e4s:8.6'],
  ['rhel_tus:8.4::nfv', '1-1.el8_4', '8 in tus:8.4'],
  ['enterprise_linux_eus:10.0', '1-1.el10_0', '10 in eus:10.0'],
  ['rhel_els:6', '1-1.el6', '6 in els'],
  ['satellite:6.16::el9', '1-1.el9sat', '9 in product:satellite:6.16'],
  ['rhel_satellite_client:6::el8', '1-1.el8sat', '8 in product:rhel_satellite_client:6'],
  ['rhel_extras_other:7', '1-1', '7 in product:rhel_extras_other:7'],
  // No `el` in the product: the package tells it.
  ['openshift:4.18', '1-1.rhaos4.18.el9', '9 in product:openshift:4.18'],
  ['openshift:4.18', '1-1.module+el8.5.0+1+2', '8 in product:openshift:4.18'],
  ['jboss_enterprise_application_platform:8.0', '1-1', 'elsewhere'],
  ['', '1-1.el9', 'release_missing'],
])('Red Hat:%s with %s → %s', (qualifier, fixed, expected) => {
  const affected = { ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed }] }] };
  expect(told(redhatPlace(qualifier, affected))).toBe(expected);
});

test.each([
  ['Linux Enterprise Server 15 SP5', '15.5'],
  ['Linux Enterprise Desktop 15', '15'],
  ['Linux Enterprise Module for Basesystem 15 SP5', '15.5'],
  ['Linux Enterprise Module for Python 3 15 SP5', '15.5'],
  ['Linux Enterprise Server 16.0', '16.0'],
  ['Linux Enterprise High Availability Extension 15 SP5', '15.5'],
  ['Linux Enterprise Workstation Extension 12 SP5', '12.5'],
  ['Linux Enterprise Software Development Kit 12 SP5', '12.5'],
  ['Linux Enterprise Server 12 SP5-LTSS', '12.5 in ltss'],
  ['Linux Enterprise Server LTSS Extended Security 12 SP5', '12.5 in ltss-extended-security'],
  ['Linux Enterprise Server 12 SP2-BCL', '12.2 in bcl'],
  ['Linux Enterprise Live Patching 15 SP5', '15.5 in product:Linux Enterprise Live Patching'],
  [
    'Linux Enterprise High Performance Computing 15 SP4-ESPOS',
    '15.4 in product:Linux Enterprise High Performance Computing ESPOS',
  ],
  ['Linux Enterprise Micro 5.5', '5.5 in product:Linux Enterprise Micro'],
  ['Package Hub', 'elsewhere'],
  ['', 'release_missing'],
])('SUSE:%s → %s', (qualifier, expected) => {
  expect(told(susePlace(qualifier))).toBe(expected);
});

test.each([
  ['Leap 15.5', '15.5'],
  ['Leap 15.6 NonFree', '15.6'],
  ['Leap Micro 5.5', '5.5 in product:Leap Micro'],
  ['Tumbleweed', ''],
  ['Backports SLE-15-SP5', '15.5 in product:Backports SLE'],
])('openSUSE:%s → %s', (qualifier, expected) => {
  expect(told(opensusePlace(qualifier))).toBe(expected);
});
