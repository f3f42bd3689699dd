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
