/** Names of Windows as MSRC's documents have them, by the version and architecture that a host reports. */

export type WindowsArchitecture = 'x64' | 'x86' | 'arm64' | 'ia64';

/** Windows 10 and 11 by build: the version in the name, as MSRC spells it. */
const clients: Readonly<Record<string, string>> = {
  '10240': 'Windows 10',
  '10586': 'Windows 10 Version 1511',
  '14393': 'Windows 10 Version 1607',
  '15063': 'Windows 10 Version 1703',
  '16299': 'Windows 10 Version 1709',
  '17134': 'Windows 10 Version 1803',
  '17763': 'Windows 10 Version 1809',
  '18362': 'Windows 10 Version 1903',
  '18363': 'Windows 10 Version 1909',
  '19041': 'Windows 10 Version 2004',
  '19042': 'Windows 10 Version 20H2',
  '19043': 'Windows 10 Version 21H1',
  '19044': 'Windows 10 Version 21H2',
  '19045': 'Windows 10 Version 22H2',
  '22000': 'Windows 11 version 21H2',
  '22621': 'Windows 11 Version 22H2',
  '22631': 'Windows 11 Version 23H2',
  '26100': 'Windows 11 Version 24H2',
  '26200': 'Windows 11 Version 25H2',
};

/** Server by build; the second name is that of Server Core. The semi-annual releases have nothing but Server Core. */
const servers: Readonly<Record<string, readonly [string, string]>> = {
  '9200': both('Windows Server 2012'),
  '9600': both('Windows Server 2012 R2'),
  '14393': both('Windows Server 2016'),
  '16299': core('Windows Server, version 1709 (Server Core Installation)'),
  '17134': core('Windows Server, version 1803 (Server Core Installation)'),
  '17763': both('Windows Server 2019'),
  '18362': core('Windows Server, version 1903 (Server Core installation)'),
  '18363': core('Windows Server, version 1909 (Server Core installation)'),
  '19041': core('Windows Server, version 2004 (Server Core installation)'),
  '19042': core('Windows Server, version 20H2 (Server Core Installation)'),
  '20348': both('Windows Server 2022'),
  '25398': core('Windows Server 2022, 23H2 Edition (Server Core installation)'),
  '26100': both('Windows Server 2025'),
};

function both(name: string): readonly [string, string] {
  return [name, `${name} (Server Core installation)`];
}

function core(name: string): readonly [string, string] {
  return [name, name];
}

const systems: Readonly<Record<WindowsArchitecture, string>> = {
  x64: 'x64-based Systems',
  x86: '32-bit Systems',
  arm64: 'ARM64-based Systems',
  ia64: 'Itanium-Based Systems',
};

export interface ReportedWindows {
  /** As the host prints it; in every language `Server` tells a server. */
  readonly name: string;
  /** `10.0.17763` */
  readonly version: string;
  readonly servicePack: number;
  readonly architecture: WindowsArchitecture | null;
  readonly serverCore: boolean;
}

/**
 * MSRC's name of a Windows, or null where it has none: a build that is not in the tables, XP and Server 2003, and Windows 10
 * and older without a known architecture (their names say it).
 */
export function windowsProduct(reported: ReportedWindows): string | null {
  const { name, version, servicePack, architecture, serverCore } = reported;
  const [major, minor, build = ''] = version.split('.');
  const kernel = `${major ?? ''}.${minor ?? ''}`;
  // Windows prints `Serverr` where it has a registered trade mark that the code page lacks.
  const server = /Server/u.test(name);
  if (server && (kernel === '10.0' || kernel === '6.3' || kernel === '6.2'))
    return servers[build]?.[serverCore ? 1 : 0] ?? null;
  if (architecture === null) return null;
  const system = systems[architecture];
  const pack = servicePack > 0 ? ` Service Pack ${String(servicePack)}` : '';
  const coreSuffix = serverCore ? ' (Server Core installation)' : '';
  switch (kernel) {
    case '10.0':
      return clients[build] === undefined ? null : `${clients[build]} for ${system}`;
    case '6.3':
      return build === '9600' ? `Windows 8.1 for ${system.replace('Systems', 'systems')}` : null;
    case '6.2':
      return build === '9200' ? `Windows 8 for ${system}` : null;
    case '6.1':
      return server
        ? `Windows Server 2008 R2 for ${system}${pack}${coreSuffix}`
        : `Windows 7 for ${system}${pack}`;
    case '6.0':
      return server
        ? `Windows Server 2008 for ${system}${pack}${coreSuffix}`
        : `Windows Vista${architecture === 'x64' ? ' x64 Edition' : ''}${pack}`;
    default:
      return null;
  }
}
