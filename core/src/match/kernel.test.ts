import { describe, expect, test } from 'vitest';
import { isKernelSource, kernelRelease } from './kernel.ts';
import { lookUp } from './match.ts';

test('the release is what uname says', () => {
  const releaseOf = (name: string, version = '1', arch = 'x86_64') => kernelRelease({ name, version, arch });
  expect(releaseOf('linux-image-6.1.0-25-amd64')).toBe('6.1.0-25-amd64');
  expect(releaseOf('linux-image-6.1.0-25-amd64-unsigned')).toBe('6.1.0-25-amd64');
  expect(releaseOf('linux-image-unsigned-5.15.0-91-generic')).toBe('5.15.0-91-generic');
  expect(releaseOf('kernel-core', '5.14.0-362.8.1.el9_3')).toBe('5.14.0-362.8.1.el9_3.x86_64');
  expect(releaseOf('kernel-64k-core', '5.14.0-427.el9', 'aarch64')).toBe('5.14.0-427.el9.aarch64+64k');
  expect(releaseOf('kernel-default', '6.4.0-150600.23.7.3')).toBe('6.4.0-150600.23.7-default');
  // SUSE leaves out the build service's rebuild count, whatever stands before it (rpm/kernel-spec-macros, source_rel).
  expect(releaseOf('kernel-default', '6.4.0-150600.21.2')).toBe('6.4.0-150600.21-default');
  expect(releaseOf('kernel-default', '4.12.14-lp151.28.10.1')).toBe('4.12.14-lp151.28.10-default');
  expect(releaseOf('kernel-default', '6.9.1-1.1')).toBe('6.9.1-1-default');
  expect(releaseOf('kernel-rt', '6.4.0-150600.10.8.3')).toBe('6.4.0-150600.10.8-rt');
  expect(releaseOf('kernel-64kb', '6.4.0-150600.23.7.3', 'aarch64')).toBe('6.4.0-150600.23.7-64kb');
  // Red Hat's variants come after the architecture, but for the separate real-time builds up to 9.2.
  expect(releaseOf('kernel-rt-core', '5.14.0-427.13.1.el9_4')).toBe('5.14.0-427.13.1.el9_4.x86_64+rt');
  expect(releaseOf('kernel-rt-core', '4.18.0-513.5.1.rt7.307.el8_9')).toBe(
    '4.18.0-513.5.1.rt7.307.el8_9.x86_64',
  );
  expect(releaseOf('kernel-64k-debug-core', '5.14.0-427.el9', 'aarch64')).toBe(
    '5.14.0-427.el9.aarch64+64k-debug',
  );
  expect(releaseOf('kernel-debug-core', '5.14.0-427.el9')).toBe('5.14.0-427.el9.x86_64+debug');
  expect(releaseOf('kernel-uki-virt', '5.14.0-427.el9')).toBe('5.14.0-427.el9.x86_64');
  expect(releaseOf('kernel-debug-uki-virt', '5.14.0-427.el9')).toBe('5.14.0-427.el9.x86_64+debug');
  expect(releaseOf('kernel6.18', '6.18.3-9.amzn2023')).toBe('6.18.3-9.amzn2023.x86_64');
  expect(releaseOf('linux-lts', '6.1.55-r0')).toBe('6.1.55-0-lts');
  for (const name of [
    'kernel-headers',
    'kernel-tools',
    'kernel-modules-core',
    'kernel-default-devel',
    'bpftool',
    'linux-headers-generic',
    'linux-pam',
  ]) {
    expect(releaseOf(name), name).toBeNull();
  }
});

describe('what is built from a kernel’s source', () => {
  test.each([
    'linux',
    'linux-signed-amd64',
    'linux-5.10',
    'linux-aws',
    'linux-hwe-5.15',
    'linux-lts',
    'kernel',
    'kernel-rt',
  ])('%s is one', (source) => expect(isKernelSource(source)).toBe(true));
  test.each([
    'linux-pam',
    'linux-firmware',
    'linux-base',
    'linux-atm',
    'kernel-wedge',
    'linuxptp',
    'kernelshark',
  ])('%s is none', (source) => expect(isKernelSource(source)).toBe(false));
  test('Debian’s signed kernels lead to their own source, also the newer ones of its long-term support', () => {
    const image = {
      name: 'linux-image-6.1.0-0.deb11.25-amd64',
      source: 'linux-signed-6.1-amd64',
      version: '6.1.106-3~deb11u1',
      source_version: '6.1.106+3~deb11u1',
    };
    expect(lookUp('debian', image)).toMatchObject({ source: 'linux-6.1', version: '6.1.106-3~deb11u1' });
    expect(lookUp('debian', { ...image, source: 'linux-signed-5.10-arm64' })?.source).toBe('linux-5.10');
    expect(lookUp('debian', { ...image, source: 'linux-signed-amd64' })?.source).toBe('linux');
  });
  test('Ubuntu’s signed flavours lead to the flavour', () => {
    const aws = {
      name: 'linux-image-5.15.0-1051-aws',
      source: 'linux-signed-aws',
      version: '5.15.0-1051.56',
      source_version: '5.15.0-1051.56',
    };
    expect(lookUp('ubuntu', aws)?.source).toBe('linux-aws');
    expect(lookUp('ubuntu', { ...aws, source: 'linux-signed' })?.source).toBe('linux');
  });
});

test('whatever is signed is a kernel, also of a flavour or architecture to come', () => {
  const of = (source: string) =>
    lookUp('debian', { name: 'linux-image-6.12.5-riscv64', version: '6.12.5-1', source, source_version: '6' })
      ?.source;
  expect(of('linux-signed-riscv64')).toBe('linux');
  expect(of('linux-signed-loong64')).toBe('linux');
  expect(of('linux-signed-qcom')).toBe('linux-qcom');
  expect(of('linux-qcom-6.8')).toBe('linux-qcom-6.8');
});
