import { expect, test } from 'vitest';
import { parsePurl } from './components.ts';
import { brief, read, vex } from './made-up-vex.ts';

test('modules: in the purl, behind the id, as a parent, and of a component without a version', async () => {
  const module = 'AppStream-8.6.0.Z.AUS:postgresql:12:8060020240903093929:ad008a3a';
  const build = 'postgresql-test-rpm-macros-0:12.20-1.module+el8.6.0+22262+7cfee20c.noarch';
  const document = vex(
    {
      [module]: 'pkg:rpmmod/redhat/postgresql@12:8060020240903093929:ad008a3a',
      'AppStream-9.4.0.Z.MAIN.EUS:redis-0:7.2.10-1.module+el9.6.0+23332+115a3b01.x86_64::redis:7':
        'pkg:rpm/redhat/redis@7.2.10-1.module%2Bel9.6.0%2B23332%2B115a3b01?arch=x86_64&rpmmod=redis:7:9060020250716081121:9',
      'AppStream-9.4.0.Z.MAIN.EUS:Cython-0:0.28.1-7.module+el8.1.0+3111+de3f2d8e.x86_64::python27:2.7': null,
      'AppStream-9.4.0.Z.MAIN.EUS:npm-1:10.5.0-1.20.12.2.2.module+el9.4.0+21731+46b5b8a7.x86_64': null,
      'red_hat_enterprise_linux_8:go-toolset:rhel8/go-toolset':
        'pkg:rpm/redhat/go-toolset@rhel8?arch=src&rpmmod=go-toolset:rhel8',
      'red_hat_enterprise_linux_8:ruby:2.6/ruby': 'pkg:rpmmod/redhat/ruby:2.6/ruby',
      'red_hat_enterprise_linux_8:perl-Math-Complex': 'pkg:rpm/redhat/perl-Math-Complex?rpmmod=perl:5.30',
      'red_hat_enterprise_linux_9:firefox:flatpak/firefox':
        'pkg:rpm/redhat/firefox?arch=src&rpmmod=firefox:flatpak',
    },
    {},
  );
  const tree = document.product_tree;
  tree.branches.push({
    category: 'product_version',
    name: build,
    product: {
      product_id: build,
      name: build,
      product_identification_helper: {
        purl: 'pkg:rpm/redhat/postgresql-test-rpm-macros@12.20-1.module%2Bel8.6.0%2B22262%2B7cfee20c?arch=noarch',
      },
    },
  });
  tree.relationships.push({
    category: 'default_component_of',
    full_product_name: { name: build, product_id: `${module}:${build}` },
    product_reference: build,
    relates_to_product_reference: module,
  });
  const ids = tree.relationships.map((item) =>
    String(Reflect.get(Reflect.get(item, 'full_product_name'), 'product_id')),
  );
  document.vulnerabilities = [
    {
      cve: 'CVE-2024-7348',
      product_status: {
        fixed: ids.filter((id) => id.includes('.module+')),
        known_affected: ids.filter((id) => !id.includes('.module+') && id !== module),
        known_not_affected: [module],
      },
    },
  ];
  const { statements, rejections } = await read(document);
  expect(rejections).toEqual([]);
  expect(statements.map(brief)).toEqual([
    ['redis', 'binary', '9', null, 'redis:7', '7.2.10-1.module+el9.6.0+23332+115a3b01'],
    ['Cython', 'binary', '9', null, 'python27:2.7', '0.28.1-7.module+el8.1.0+3111+de3f2d8e'],
    ['npm', 'binary', '9', null, '?', '1:10.5.0-1.20.12.2.2.module+el9.4.0+21731+46b5b8a7'],
    [
      'postgresql-test-rpm-macros',
      'binary',
      '8',
      'aus:8.6',
      'postgresql:12',
      '12.20-1.module+el8.6.0+22262+7cfee20c',
    ],
    ['go-toolset', 'source', '8', null, 'go-toolset:rhel8', null],
    ['ruby', 'source', '8', null, 'ruby:2.6', null],
    ['perl-Math-Complex', 'binary', '8', null, 'perl:5.30', null],
  ]);
});

test('package URLs', () => {
  expect(parsePurl('pkg:rpm/redhat/nodejs@18.20.2-2.module%2Bel9?arch=src&epoch=1&rpmmod=nodejs:18')).toEqual(
    {
      type: 'rpm',
      name: 'nodejs',
      version: '18.20.2-2.module+el9',
      qualifiers: new Map([
        ['arch', 'src'],
        ['epoch', '1'],
        ['rpmmod', 'nodejs:18'],
      ]),
    },
  );
  expect(parsePurl('pkg:npm/a@%zz')).toMatchObject({ version: '%zz' });
  expect(parsePurl('https://www.redhat.com')).toBeNull();
});
