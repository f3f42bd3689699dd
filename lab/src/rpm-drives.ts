import type { RpmPackage } from './rpm-root.ts';

/** What the executors of rpm hosts are tried with: packages that fail in one way each, and the steps that are driven. */

const two = (name: string, more: Partial<RpmPackage> = {}, newer: Partial<RpmPackage> = {}): RpmPackage[] =>
  ['1.0', '1.1'].map((version) => ({
    name,
    version,
    release: '1.el9',
    files: { [`/usr/libexec/${name}`]: { program: true } },
    ...more,
    ...(version === '1.1' ? newer : {}),
  }));

const configuration = { '/etc/acme.conf': 'a=1' };
export const dependency = 'acme-new-dependency-with-a-long-name';
const kernel = (release: string): RpmPackage => ({
  name: 'kernel-core',
  version: '5.14.0',
  release,
  head: ['Provides: installonlypkg(kernel)', 'Provides: multiversion(kernel)'],
  files: { [`/lib/modules/5.14.0-${release}/vmlinuz`]: 'k' },
});

export const packages: RpmPackage[] = [
  // Scripts need it, and rpm knows of no other here.
  { name: 'bash', version: '5', release: '1', head: ['Provides: /bin/sh'], files: {} },
  ...['1.0', '1.1', '1.2'].map((version) => ({
    name: 'acme-sleep',
    epoch: '1',
    version,
    release: '1.el9',
    head: version === '1.2' ? [`Requires: ${dependency} >= 2`] : [],
    files: { '/usr/libexec/acme-sleep': { program: true as const }, ...configuration },
    configuration: Object.keys(configuration),
  })),
  { name: dependency, version: '2.0', release: '3.el9', files: {} },
  ...two('acme-libs'),
  ...two('acme-post', {}, { scripts: ['%post', 'echo in post; exit 3'] }),
  ...two('acme-pre', {}, { scripts: ['%pre', 'echo in pre; exit 3'] }),
  ...two('acme-slow', {}, { scripts: ['%post', 'echo begun >> /srv/slow; sleep 2; echo done >> /srv/slow'] }),
  { name: 'acme-old', version: '1', release: '1', files: {} },
  ...two('acme-obsoleter', {}, { head: ['Obsoletes: acme-old < 2'] }),
  ...two('acme-conflict', {}, { head: ['Conflicts: acme-libs'] }),
  ...two('acme-altered'),
  ...two('acme-gone'),
  ...two('acme-unsigned'),
  kernel('1.el9'),
  kernel('2.el9'),
];

/** Lets through only with credentials; `acme-altered` is altered on the way. */
export const proxy = `
import { createServer } from 'node:http';
import { readFileSync, appendFileSync } from 'node:fs';
createServer((request, response) => {
  const credentials = Buffer.from((request.headers['proxy-authorization'] ?? '').replace('Basic ', ''), 'base64').toString();
  if (credentials !== 'asset:s/e:cret') {
    response.writeHead(407, { 'proxy-authenticate': 'Basic realm="lab"' }).end();
    return;
  }
  appendFileSync('/srv/requests', request.url + '\\n');
  try {
    const bytes = readFileSync('/srv/repository/' + new URL(request.url).pathname.replace('/lab/', ''));
    if (request.url.includes('acme-altered-1.1')) bytes[15000] ^= 1;
    response.writeHead(200, { 'content-length': bytes.length }).end(request.method === 'HEAD' ? '' : bytes);
  } catch {
    response.writeHead(404).end();
  }
}).listen(7799, '127.0.0.1');
`;

interface Changes {
  readonly packages: readonly {
    readonly name: string;
    readonly arch: string;
    readonly from: string;
    readonly to: string;
    readonly source: string;
    readonly source_version: string;
  }[];
  readonly added: readonly { name: string; arch: string; version: string }[];
  readonly removed: readonly { name: string; arch: string; version: string }[];
}

const change = (name: string, from: string, to: string): Changes => ({
  packages: [{ name, arch: 'x86_64', from, to, source: name, source_version: to }],
  added: [],
  removed: [],
});
const both = (a: Changes, b: Changes): Changes => ({ ...a, packages: [...a.packages, ...b.packages] });
const usual = (name: string): Changes => change(name, '1.0-1.el9', '1.1-1.el9');
const sleep = (to: string): Changes => change('acme-sleep', '1:1.0-1.el9', `1:${to}-1.el9`);
const withDependency: Changes = {
  ...sleep('1.2'),
  added: [{ name: dependency, arch: 'x86_64', version: '2.0-3.el9' }],
};
const obsoleting: Changes = {
  ...usual('acme-obsoleter'),
  removed: [{ name: 'acme-old', arch: 'x86_64', version: '1-1' }],
};

/** What is driven, by name: steps of the executor in this order. */
export const drives: Readonly<Record<string, readonly (readonly [step: string, changes: Changes])[]>> = {
  plain: ['refresh', 'simulate', 'download', 'keep', 'kept', 'install', 'roll_back', 'state'].map(
    (step) => [step, both(sleep('1.1'), usual('acme-libs'))] as const,
  ),
  dependency: [
    ['simulate', sleep('1.2')],
    ...['simulate', 'download', 'keep', 'kept', 'install', 'roll_back'].map(
      (step) => [step, withDependency] as const,
    ),
  ],
  obsoletes: [
    ['simulate', usual('acme-obsoleter')],
    ...['simulate', 'download', 'keep', 'kept', 'install', 'roll_back'].map(
      (step) => [step, obsoleting] as const,
    ),
  ],
  refused: [
    ['simulate', usual('acme-conflict')],
    ['simulate', change('acme-libs', '1.0-1.el9', '1.7-1.el9')],
    ['download', usual('acme-altered')],
    ['download', usual('acme-gone')],
    ['download', usual('acme-unsigned')],
    ['keep', change('acme-libs', '0.9-1.el9', '1.1-1.el9')],
  ],
  scripts: [
    ['download', both(usual('acme-post'), usual('acme-pre'))],
    ['install', usual('acme-post')],
    ['install', usual('acme-pre')],
    ['configure', usual('acme-pre')],
  ],
  kernel: ['simulate', 'download', 'keep', 'kept', 'install', 'roll_back'].map(
    (step) => [step, change('kernel-core', '5.14.0-1.el9', '5.14.0-2.el9')] as const,
  ),
  'before-kill': [['download', both(usual('acme-libs'), usual('acme-slow'))]],
  killed: [['install', both(usual('acme-libs'), usual('acme-slow'))]],
  'after-kill': [
    ['state', usual('acme-slow')],
    ['configure', both(usual('acme-libs'), usual('acme-slow'))],
    ['complete', both(usual('acme-libs'), usual('acme-slow'))],
  ],
};
