/** Steps and orders that the tests of this room share. */
import type { MitigationOrder, MitigationStep, SettingStep } from './mitigation.ts';

export const grace: SettingStep = {
  kind: 'service_setting',
  unit: 'ssh.service',
  dialect: 'sshd_config',
  file: '/etc/ssh/sshd_config',
  section: null,
  key: 'LoginGraceTime',
  value: '0',
};
export const pipes: SettingStep = {
  kind: 'service_setting',
  unit: 'smbd.service',
  dialect: 'ini',
  file: '/etc/samba/smb.conf',
  section: 'global',
  key: 'nt pipe support',
  value: 'no',
};
export const order = (id: string, steps: MitigationStep[], unit: string | null = null): MitigationOrder => ({
  id,
  steps,
  restart_units: unit === null ? [] : [{ unit, how: 'reload' }],
});
export const userns = order('userns', [
  { kind: 'sysctl', key: 'kernel.unprivileged_userns_clone', value: '0' },
]);
export const dccp = order('dccp', [{ kind: 'kernel_module_blacklist', module: 'dccp' }]);
export const login = order('login', [grace], 'ssh.service');
