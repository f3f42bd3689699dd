import { describe, expect, test } from 'vitest';
import { reasonNotToRestart } from './units.ts';

describe('what is not restarted without a person', () => {
  test.each([
    'dbus.service',
    'dbus-broker.service',
    'gdm.service',
    'gdm3.service',
    'lightdm.service',
    'sddm.service',
    'display-manager.service',
    'networking.service',
    'NetworkManager.service',
    'NetworkManager-dispatcher.service',
    'ModemManager.service',
    'wpa_supplicant.service',
    'wpa_supplicant@wlan0.service',
    'ifup@eth0.service',
    'bird.service',
    'frr.service',
    'openvpn.service',
    'openvpn@home.service',
    'openvpn-server@a.service',
    'wg-quick@wg0.service',
    'strongswan.service',
    'strongswan-starter.service',
    'ipsec.service',
    'tinc@net.service',
    'bluetooth.service',
    'docker.service',
    'containerd.service',
    'libvirtd.service',
    'libvirt-guests.service',
    'virtlogd.service',
    'virtqemud.service',
    'xendomains.service',
    'lxcfs.service',
    'zfs-fuse.service',
    'emergency.service',
    'rescue.service',
    'apt-daily.service',
    'apt-daily-upgrade.service',
    'unattended-upgrades.service',
    'rc-local.service',
    'user@1000.service',
    'cron-daily.service',
  ])('%s', (unit) => {
    expect(reasonNotToRestart(unit, null, 0)).not.toBeNull();
  });
  test.each([
    'ssh.service',
    'nginx.service',
    'cron.service',
    'systemd-networkd.service',
    'systemd-resolved.service',
    'systemd-journald.service',
    'systemd-udevd.service',
    'postgresql@15-main.service',
    'rsyslog.service',
    'docker-registry.service',
    'birdnet.service',
    'networkd-dispatcher.service',
    'user-portal.service',
    'polkit.service',
  ])('but %s', (unit) => {
    expect(reasonNotToRestart(unit, null, 0)).toBeNull();
  });
  test.each(['systemd-logind.service', 'getty@tty1.service', 'serial-getty@ttyS0.service'])(
    '%s only while somebody is logged in',
    (unit) => {
      expect(reasonNotToRestart(unit, null, 0)).toBeNull();
      expect(reasonNotToRestart(unit, null, 1)).toContain('logged in');
    },
  );
  test('the agent itself, and what the owner names', () => {
    expect(reasonNotToRestart('fixpoint-agent.service', 'fixpoint-agent.service', 0)).toContain('this agent');
    const never = ['nginx', 'batch@*.service'];
    expect(reasonNotToRestart('nginx.service', null, 0, never)).toContain('policy of the host');
    expect(reasonNotToRestart('batch@7.service', null, 0, never)).toContain('policy of the host');
    expect(reasonNotToRestart('nginx-exporter.service', null, 0, never)).toBeNull();
  });
});
