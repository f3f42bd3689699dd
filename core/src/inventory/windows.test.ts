import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { windowsProduct } from './windows-products.ts';
import {
  consoleText,
  parseRegistry,
  parseSystemInfo,
  parseUpdateList,
  windowsPackages,
  type SystemInfo,
} from './windows.ts';

function recorded(name: string): string {
  return consoleText(readFileSync(new URL(`recorded/windows/${name}`, import.meta.url)));
}

function infoOf(name: string): SystemInfo {
  const parse = parseSystemInfo(recorded(name));
  if (!parse.ok) throw new Error(parse.message);
  return parse.info;
}

describe('systeminfo', () => {
  test('English', () => {
    expect(infoOf('10_1809_x64_pro_en-us_20190307_systeminfo.txt')).toEqual({
      name: 'Microsoft Windows 10 Pro',
      version: '10.0.17763',
      servicePack: 0,
      architecture: 'x64',
      updates: ['KB4470788', 'KB4480056', 'KB4482887', 'KB4486553', 'KB4487038'],
      updatesComplete: true,
    });
  });

  test.each([
    ['10_1809_x64_enterprise_zh-cn_systeminfo.txt', 'Windows 10 Version 1809 for x64-based Systems', 1],
    ['srv_2012r2_x64_standard_ru_systeminfo.txt', 'Windows Server 2012 R2', 7],
    ['7_sp1_x64_enterprise_fr_systeminfo_cmd.txt', 'Windows 7 for x64-based Systems Service Pack 1', 73],
    // A list with a file in it, an id of before 2003 (Q147222), and one with a revision (KB893803v2 - Update).
    ['xp_rtm_x86_professional_en-us_systeminfo.txt', 'Microsoft Windows XP Professional', 2],
  ])('%s', (file, product, count) => {
    const info = infoOf(file);
    expect(info.updatesComplete).toBe(true);
    expect(windowsPackages(info)).toMatchObject([{ name: product, source: product, version: info.version }]);
    expect(windowsPackages(info)[0]?.updates).toHaveLength(count);
  });

  test('a list that systeminfo cut off is not the list of what is installed', () => {
    const info = infoOf('7_sp1_x64_ultimaten_de_systeminfo.txt');
    expect(info).toMatchObject({ servicePack: 1, updatesComplete: false });
    expect(info.updates.length).toBe(242);
    expect(windowsPackages(info)[0]).not.toHaveProperty('updates');
    expect(windowsPackages(info, null, ['KB4487078'])[0]?.updates).toHaveLength(243);
  });

  test('"N/A" is not an empty list', () => {
    const info = infoOf('10_1803_x64_proforworkstations_en-us_B_20190306_systeminfo.txt');
    expect(info).toMatchObject({ updates: [], updatesComplete: false });
  });

  test.each([
    ['nothing', ''],
    ['another system', 'Linux host 6.1.0-25-amd64 #1 SMP Debian\nName: a\nVersion: 6.1.0'],
    ['a version without a name', 'OS Version:   10.0.17763 N/A Build 17763'],
  ])('%s is refused', (_, text) => {
    expect(parseSystemInfo(text)).toMatchObject({ ok: false, code: 'systeminfo_unreadable' });
  });
});

test('wmic qfe list, in UTF-16; a text without its heading is refused', () => {
  expect(parseUpdateList(recorded('10_1809_x64_pro_en-us_20190307_qfe.txt'))).toEqual({
    ok: true,
    updates: ['KB4470788', 'KB4480056', 'KB4482887', 'KB4486553', 'KB4487038'],
  });
  expect(parseUpdateList('No Instance(s) Available.')).toMatchObject({ code: 'update_list_unreadable' });
  expect(parseUpdateList('Source  Description  HotFixID\n')).toEqual({ ok: true, updates: [] });
});

describe('reg query', () => {
  const head = 'HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\r\n';
  const server = `\r\n${head}    CurrentVersion    REG_SZ    6.3\r\n    CurrentBuildNumber    REG_SZ    17763\r\n    CurrentMajorVersionNumber    REG_DWORD    0xa\r\n    CurrentMinorVersionNumber    REG_DWORD    0x0\r\n    UBR    REG_DWORD    0x17a6\r\n    InstallationType    REG_SZ    Server Core\r\n`;

  test('the whole build, and Server Core', () => {
    expect(parseRegistry(server)).toEqual({
      ok: true,
      registry: { build: '10.0.17763.6054', serverCore: true },
    });
  });

  test('of before Windows 10', () => {
    const old = `${head}    CurrentVersion    REG_SZ    6.1\r\n    CurrentBuild    REG_SZ    7601\r\n`;
    expect(parseRegistry(old)).toEqual({ ok: true, registry: { build: '6.1.7601', serverCore: false } });
    expect(parseRegistry(head)).toMatchObject({ ok: false, code: 'registry_unreadable' });
  });

  test('it completes what systeminfo says, and is passed over when it is another system’s', () => {
    const parse = parseRegistry(server);
    if (!parse.ok) throw new Error(parse.message);
    const info: SystemInfo = {
      name: 'Microsoft Windows Server 2019 Datacenter',
      version: '10.0.17763',
      servicePack: 0,
      architecture: 'x64',
      updates: ['KB5040430'],
      updatesComplete: true,
    };
    expect(windowsPackages(info, parse.registry)).toEqual([
      {
        name: 'Windows Server 2019 (Server Core installation)',
        arch: 'x64',
        version: '10.0.17763.6054',
        source: 'Windows Server 2019 (Server Core installation)',
        source_version: '10.0.17763.6054',
        updates: ['KB5040430'],
      },
    ]);
    expect(windowsPackages(info, { build: '10.0.14393.1', serverCore: false })[0]?.version).toBe(
      '10.0.17763',
    );
  });
});

test.each([
  ['Microsoft Windows 11 Enterprise', '10.0.22000', 'x64', 'Windows 11 version 21H2 for x64-based Systems'],
  ['Microsoft Windows 11 Home', '10.0.26100', 'arm64', 'Windows 11 Version 24H2 for ARM64-based Systems'],
  ['Microsoft Windows 10 Pro', '10.0.10240', 'x86', 'Windows 10 for 32-bit Systems'],
  ['Microsoft Windows 8.1 Pro', '6.3.9600', 'x64', 'Windows 8.1 for x64-based systems'],
  ['Microsoftr Windows VistaT Enterprise', '6.0.6002', 'x64', 'Windows Vista x64 Edition'],
  ['Microsoftr Windows Serverr 2008 Standard', '6.0.6003', 'x86', 'Windows Server 2008 for 32-bit Systems'],
  ['Microsoft Windows Server 2022 Standard', '10.0.20348', null, 'Windows Server 2022'],
  ['Microsoft Windows 11 Pro', '10.0.22631', null, null],
  ['Microsoft Windows 11 Pro', '10.0.29999', 'x64', null],
] as const)('%s %s %s', (name, version, architecture, product) => {
  expect(windowsProduct({ name, version, architecture, servicePack: 0, serverCore: false })).toBe(product);
});
