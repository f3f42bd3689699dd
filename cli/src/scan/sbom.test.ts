/** SBOMs as Syft and Trivy write them, read by the real program, beside a scan of the root that they were made of. */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseDpkgStatus } from '@fixpoint/core/inventory/dpkg-status.ts';
import { createScanFixture, dpkgStanza, type ScanDocument } from './fixture-root.ts';
import { placeComponent } from './sbom-place.ts';
import type { SbomComponent } from './sbom.ts';

const fixture = createScanFixture();
afterAll(() => fixture.remove());

const bookworm = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';

let count = 0;
function file(content: unknown): string {
  const path = join(fixture.folder, `bom-${String(count++)}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const cycloneDx = (components: readonly unknown[], more: Readonly<Record<string, unknown>> = {}) => ({
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  serialNumber: 'urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79',
  version: 1,
  components,
  ...more,
});

/** The stanzas of a real machine, this one's, where it has dpkg; else a few that could be. */
const realStatus = '/var/lib/dpkg/status';
const status = existsSync(realStatus)
  ? readFileSync(realStatus, 'utf8')
  : dpkgStanza('openssl', '3.0.9-1') + dpkgStanza('libssl3', '3.0.9-1', { Source: 'openssl' });
if (!existsSync(realStatus)) console.log('SKIPPED in part: no dpkg here, so the root is made up');

function installed() {
  const parsed = parseDpkgStatus(status);
  if (!parsed.ok) throw new Error(parsed.message);
  const { packages, maintainers } = parsed.status;
  return packages.map((p) => ({ ...p, maintainer: maintainers.get(`${p.name}:${p.arch}`) ?? '' }));
}

/** As Syft 1.x: the source in `upstream`, with its version only where it is another one. */
function purl(p: ReturnType<typeof installed>[number]): string {
  const upstream =
    p.source === p.name && p.source_version === p.version
      ? ''
      : `&upstream=${encodeURIComponent(p.source_version === p.version ? p.source : `${p.source}@${p.source_version}`)}`;
  return `pkg:deb/debian/${encodeURIComponent(p.name)}@${encodeURIComponent(p.version)}?arch=${p.arch}&distro=debian-12${upstream}`;
}

/** What was concluded, without where it was read. */
function conclusions({ findings, undetermined, unknown_source_packages: unknown }: ScanDocument) {
  return {
    findings: findings.map((f) => ({ ...f, installed: [...f.installed].sort() })),
    undetermined: undetermined.map((u) => ({ ...u, installed: [...u.installed].sort() })),
    unknown,
  };
}

describe('the SBOM of a Debian root', () => {
  const root = fixture.root({ 'etc/os-release': bookworm, 'var/lib/dpkg/status': status });
  const ofRoot = (): ScanDocument => fixture.scanJson(['--root', root]);

  test('in CycloneDX gives the same verdicts as the root itself', () => {
    const components = installed().map((p, i) => ({
      type: 'library',
      'bom-ref': `ref-${String(i)}`,
      name: p.name,
      version: p.version,
      purl: purl(p),
      properties: [{ name: 'syft:metadata:maintainer', value: p.maintainer }],
    }));
    const system = { type: 'operating-system', name: 'debian', version: '12' };
    const document = fixture.scanJson(['--sbom', file(cycloneDx([...components, system]))]);
    const own = ofRoot();
    expect(own.findings.length).toBeGreaterThan(10);
    expect(conclusions(document)).toEqual(conclusions(own));
    expect(document).toMatchObject({ sbom_format: 'CycloneDX 1.5', not_packages: 1, summary: own.summary });
  });

  test('in SPDX gives the same verdicts too', () => {
    const packages = installed().map((p, i) => ({
      SPDXID: `SPDXRef-${String(i)}`,
      name: p.name,
      versionInfo: p.version,
      externalRefs: [
        { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl(p) },
      ],
    }));
    const document = fixture.scanJson(['--sbom', file({ spdxVersion: 'SPDX-2.3', packages })]);
    const own = ofRoot();
    // SPDX has no field for the maintainer, by whom alone some packages of others are told.
    expect(
      document.findings.filter((f) => !own.findings.some((o) => o.vulnerability === f.vulnerability)),
    ).toEqual([]);
    expect(document.summary['findings']).toBeGreaterThanOrEqual(own.findings.length);
  });

  test('written as CycloneDX VEX is an SBOM with the same verdicts', () => {
    const vex = fixture.run(['scan', '--root', root, '--format', 'cyclonedx-vex']);
    expect(vex.status).toBe(0);
    const document = fixture.scanJson(['--sbom', file(vex.stdout)]);
    expect(document.findings.map((f) => `${f.vulnerability} ${f.package} ${f.installed_version}`)).toEqual(
      ofRoot().findings.map((f) => `${f.vulnerability} ${f.package} ${f.installed_version}`),
    );
  });
});

function component(purlText: string | null, more: Partial<SbomComponent> = {}): SbomComponent {
  return {
    ref: null,
    name: 'x',
    version: '',
    purl: purlText,
    properties: new Map(),
    sourceInfo: '',
    malformed: null,
    ...more,
  };
}

function placed(purlText: string, more: Partial<SbomComponent> = {}): unknown {
  const placing = placeComponent(component(purlText, more), null);
  if (!placing.ok) return placing.undetermined.code;
  const { os, os_release: release, package: p } = placing.placed;
  return { os: `${os} ${release}`, ...p };
}

describe('a component is placed', () => {
  test.each([
    [
      'Syft: a binary rebuild of a Debian source',
      'pkg:deb/debian/bash@5.2.15-2%2Bb8?arch=amd64&distro=debian-12&upstream=bash%405.2.15-2',
      {},
      { os: 'debian 12', name: 'bash', version: '5.2.15-2+b8', source: 'bash', source_version: '5.2.15-2' },
    ],
    [
      'a source without its version is not of the rebuild',
      'pkg:deb/debian/libfoo1@1.0-2%2Bb1?distro=bookworm&upstream=foo',
      {},
      { os: 'debian 12', source: 'foo', source_version: '1.0-2' },
    ],
    [
      'Trivy: point release, source and epoch in properties',
      'pkg:deb/debian/zlib1g@1.2.13.dfsg-1?arch=amd64&distro=debian-12.4&epoch=1',
      {
        properties: new Map([
          ['aquasecurity:trivy:SrcName', 'zlib'],
          ['aquasecurity:trivy:SrcVersion', '1.2.13.dfsg'],
          ['aquasecurity:trivy:SrcRelease', '1'],
          ['aquasecurity:trivy:SrcEpoch', '1'],
        ]),
      },
      { os: 'debian 12', version: '1:1.2.13.dfsg-1', source: 'zlib', source_version: '1:1.2.13.dfsg-1' },
    ],
    [
      'Trivy in SPDX: the source in a sentence',
      'pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1?distro=ubuntu-22.04',
      { sourceInfo: 'built package from: openssl 3.0.2-0ubuntu1' },
      { os: 'ubuntu 22.04', source: 'openssl', source_version: '3.0.2-0ubuntu1' },
    ],
    [
      'an RPM with epoch, source and module',
      'pkg:rpm/almalinux/nodejs@18.20.2-1.module_el9?arch=x86_64&epoch=1&upstream=nodejs-18.20.2-1.module_el9.src.rpm&modularitylabel=nodejs:18:9040:rhel9&distro=almalinux-9.4',
      {},
      {
        os: 'almalinux 9.4',
        version: '1:18.20.2-1.module_el9',
        arch: 'x86_64',
        source: 'nodejs',
        source_version: '1:18.20.2-1.module_el9',
        module: 'nodejs:18',
      },
    ],
    [
      'Syft: the epoch of an RPM in the component’s version only; epoch 0 is none',
      'pkg:rpm/redhat/bind-libs@9.16.23-11.el9?distro=rhel-9.2&upstream=bind-9.16.23-11.el9.src.rpm',
      { version: '32:9.16.23-11.el9' },
      { os: 'rhel 9.2', version: '32:9.16.23-11.el9', source: 'bind', source_version: '32:9.16.23-11.el9' },
    ],
    [
      'an RPM of another vendor is not the distribution’s',
      'pkg:rpm/rocky/nginx@1.25-1.el9?distro=rocky-9.3&epoch=0',
      { properties: new Map([['syft:metadata:vendor', 'NGINX Packaging']]) },
      { os: 'rocky 9.3', version: '1.25-1.el9', origin: 'third_party', vendor: 'NGINX Packaging' },
    ],
    [
      'Trivy: Alpine’s release alone',
      'pkg:apk/alpine/libcrypto3@3.1.3-r0?arch=x86_64&distro=3.18.4&upstream=openssl',
      {},
      { os: 'alpine 3.18.4', source: 'openssl', source_version: '3.1.3-r0' },
    ],
    ['a rolling system needs no release', 'pkg:apk/wolfi/openssl@3.1-r0', {}, { os: 'wolfi ' }],
    ['Alpine’s edge', 'pkg:apk/alpine/musl@1.2.5-r9?distro=alpine-edge', {}, { os: 'alpine edge' }],
    ['SUSE', 'pkg:rpm/opensuse/zypper@1-1?distro=opensuse-leap-15.5', {}, { os: 'opensuse-leap 15.5' }],
  ])('%s', (_, text, more, expected) => {
    expect(placed(text, more)).toMatchObject(expected);
  });

  test.each([
    ['pkg:npm/%40angular/core@17.0.0', 'sbom_type_not_judged'],
    ['pkg:generic/openssl@3.0', 'sbom_type_not_judged'],
    ['pkg:deb/debian/openssl@3.0', 'sbom_no_distribution'],
    ['pkg:deb/debian/openssl?distro=debian-12', 'sbom_no_version'],
    ['pkg:rpm/fedora/openssl@3.0-1.fc39?distro=fedora-39', 'sbom_distribution_unknown'],
    ['pkg:rpm/debian/openssl@3.0-1?distro=debian-12', 'sbom_distribution_unknown'],
    ['openssl 3.0', 'sbom_purl_invalid'],
  ])('%s is not, with the reason %s', (text, code) => {
    expect(placed(text)).toBe(code);
  });
});

test('what cannot be placed is listed with its reason and counted, in every format', () => {
  const bom = file(
    cycloneDx([
      {
        type: 'library',
        name: 'openssl',
        version: '3.0.9-1',
        purl: 'pkg:deb/debian/openssl@3.0.9-1?distro=debian-12',
      },
      // Found in the system's component, and inside another component.
      {
        type: 'application',
        name: 'app',
        components: [{ type: 'library', name: 'curl', purl: 'pkg:deb/debian/curl@7.88.1-10' }],
      },
      { type: 'library', name: 'left-pad', version: '1.3.0', purl: 'pkg:npm/left-pad@1.3.0' },
      { type: 'library', version: 3 },
      { type: 'library', name: 'old', purl: 'pkg:deb/debian/old@1?distro=debian-99' },
      // beside stable, or of its release after all
      { type: 'library', name: 'bash', purl: 'pkg:deb/debian/bash@5.3-1?distro=debian-sid' },
      { type: 'library', name: 'dash', purl: 'pkg:deb/debian/dash@0.5.12-2?distro=debian' },
      { type: 'operating-system', name: 'debian', version: '12.5' },
    ]),
  );
  const { findings, undetermined, summary } = fixture.scanJson(['--sbom', bom]);
  expect(new Set(findings.map((f) => f.package))).toEqual(new Set(['openssl', 'curl']));
  expect(undetermined.map((one) => `${one.installed.join()} ${one.code}`)).toEqual([
    'app sbom_no_purl',
    'left-pad 1.3.0 sbom_type_not_judged',
    '(no name) sbom_component_malformed',
    'old 1 release_unknown',
    'bash 5.3-1 release_unknown',
  ]);
  expect(summary['undetermined']).toBe(5);
  expect(fixture.run(['scan', '--sbom', bom]).stdout).toContain('5 packages could not be placed or judged');
  const sarif = fixture.run(['scan', '--sbom', bom, '--format', 'sarif']).stdout;
  const vex = fixture.run(['scan', '--sbom', bom, '--format', 'cyclonedx-vex']).stdout;
  for (const name of ['app', 'left-pad', '(no name)', 'old']) {
    expect(sarif).toContain(`"${name}`);
    expect(vex).toContain(`"name": "${name}"`);
  }
});

test('an SBOM of which nothing can be judged says so, and ends with 7', () => {
  const bom = file(cycloneDx([{ type: 'library', name: 'left-pad', purl: 'pkg:npm/left-pad@1.3.0' }]));
  const { status: code, stdout, stderr } = fixture.run(['scan', '--sbom', bom]);
  expect(code).toBe(7);
  expect(stdout).toContain('left-pad');
  expect(stderr).toContain('(nothing_judged)');
});

describe('bad input', () => {
  test.each([
    ['text', 'hello', 'sbom_not_json'],
    ['cut short', JSON.stringify(cycloneDx([])).slice(0, -3), 'sbom_not_json'],
    ['XML', '<?xml version="1.0"?>\n<bom xmlns="http://cyclonedx.org/schema/bom/1.5"/>', 'sbom_not_json'],
    ['SPDX tag-value', 'SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n', 'sbom_not_json'],
    ['other JSON', '{"format":1}', 'sbom_unknown_format'],
    ['a list', '[]', 'sbom_unknown_format'],
    ['CycloneDX 1.3', cycloneDx([], { specVersion: '1.3' }), 'sbom_version_unsupported'],
    ['SPDX 2.1', { spdxVersion: 'SPDX-2.1', packages: [] }, 'sbom_version_unsupported'],
    [
      'SPDX 3',
      { '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld', '@graph': [] },
      'sbom_version_unsupported',
    ],
    ['components that are none', cycloneDx([], { components: { a: 1 } }), 'sbom_malformed'],
    ['no component at all', cycloneDx([]), 'sbom_empty'],
  ])('%s: the code, what to do, exit code 7, and nothing on stdout', (_, content, code) => {
    const { status: exitCode, stdout, stderr } = fixture.run(['scan', '--sbom', file(content)]);
    expect([exitCode, stdout]).toEqual([7, '']);
    expect(stderr).toContain(`(${code})`);
    expect(stderr).toContain('what to do:');
  });

  test('a file beyond the limit is refused before it is read', () => {
    const path = file('{}');
    truncateSync(path, 128 * 1024 * 1024 + 1);
    const { status: exitCode, stderr } = fixture.run(['scan', '--sbom', path]);
    expect(exitCode).toBe(7);
    expect(stderr).toContain('(sbom_too_big)');
  });

  test('components may lie as deep as a writer likes', () => {
    const deep = '{"type":"application","name":"n","components":['.repeat(5000) + ']}'.repeat(5000);
    const bom = file(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[${deep}]}`);
    const { status: exitCode, stdout } = fixture.run(['scan', '--sbom', bom]);
    expect(exitCode).toBe(7);
    expect(stdout).toContain('5000 packages could not be placed or judged');
  });

  test.each([
    [['--sbom', '/nonexistent/bom.json'], 'sbom_not_readable'],
    [['--sbom', fixture.folder], 'sbom_not_readable'],
    [['--sbom', file(cycloneDx([])), '--root', '/'], 'usage'],
    [['--sbom'], 'usage'],
  ])('%j is wrong usage', (args, code) => {
    const { status: exitCode, stderr } = fixture.run(['scan', ...args]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`(${code})`);
  });
});
