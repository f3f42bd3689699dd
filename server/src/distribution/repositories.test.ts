import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { aptRepositories, findFile, readRepositories } from './repositories.ts';

describe('lists of repositories', () => {
  test('are read, and every mistake is named', () => {
    expect(readRepositories('http://a/b,http://c:81/=file:///srv/c')).toEqual({
      ok: true,
      repositories: [
        { prefix: 'http://a/b/', folder: null },
        { prefix: 'http://c:81/', folder: '/srv/c' },
      ],
    });
    const wrong = readRepositories('ftp://a/ https://b/ http://c/=/srv');
    expect(wrong.ok ? [] : wrong.problems).toHaveLength(3);
  });

  test('come from apt sources of both formats, without those that are commented out', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fixpoint-apt-'));
    mkdirSync(join(folder, 'sources.list.d'));
    writeFileSync(
      join(folder, 'sources.list'),
      'deb [arch=amd64] http://one/debian bookworm main\n# deb http://no/ x y\n',
    );
    writeFileSync(
      join(folder, 'sources.list.d/x.sources'),
      'Types: deb\n# http://no/archive\nURIs: http://two/debian https://three/x\n http://four/debian/\nSuites: a\n',
    );
    const found = aptRepositories(folder);
    rmSync(folder, { recursive: true, force: true });
    expect(found.map((one) => one.prefix)).toEqual([
      'http://one/debian/',
      'http://two/debian/',
      'http://four/debian/',
    ]);
  });

  test('come from the .repo files of RPM systems, up to the first variable; mirror lists and https are left out', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fixpoint-rpm-'));
    writeFileSync(
      join(folder, 'rocky.repo'),
      '[baseos]\nname=BaseOS\nmirrorlist=https://mirrors.example/mirrorlist?arch=$basearch\n' +
        '#baseurl=http://no.example/x/\nbaseurl=http://one.example/pub/rocky/$releasever/BaseOS/$basearch/os/\n\n' +
        '[lab]\nbaseurl = http://two.example/lab\n  http://three.example/lab/el$releasever/\n  https://four.example/\ngpgcheck=1\n' +
        '[any]\nbaseurl=http://$mirror/x\n',
    );
    const found = readRepositories('rpm', '/nowhere', [folder]);
    rmSync(folder, { recursive: true, force: true });
    expect(found.ok && found.repositories.map((one) => one.prefix)).toEqual([
      'http://one.example/pub/rocky/',
      'http://two.example/lab/',
      'http://three.example/lab/',
    ]);
  });

  test('of RPM repositories, packages and metadata named by their hash never change; repomd.xml does', () => {
    const list = readRepositories('http://a/os/');
    if (!list.ok) throw new Error('not read');
    const file = (path: string) => findFile(list.repositories, `http://a/os/${path}`);
    const hash = '0123456789abcdef'.repeat(4);
    expect(file('Packages/o/openssl-3.0.7-1.el9.x86_64.rpm')).toMatchObject({
      immutable: true,
      sha256: null,
    });
    expect(file(`repodata/${hash}-primary.xml.gz`)).toMatchObject({ immutable: true, sha256: hash });
    expect(file('repodata/repomd.xml')).toMatchObject({ immutable: false, sha256: null });
    expect(file('repodata/primary.xml.gz')).toMatchObject({ immutable: false, sha256: null });
  });

  test('a prefix ends at a slash', () => {
    const list = readRepositories('http://a/debian');
    if (!list.ok) throw new Error('not read');
    expect(findFile(list.repositories, 'http://a/debian-evil/pool/x.deb')).toBeNull();
    expect(findFile(list.repositories, 'http://a/debian/pool/x.deb')).toMatchObject({ immutable: true });
    expect(findFile(list.repositories, 'http://a/debian/dists/x/InRelease')).toMatchObject({
      immutable: false,
    });
    expect(findFile(list.repositories, 'http://a/debian/pool/x.deb?a=b')).toBeNull();
  });
});
