/** Documents in the form of Red Hat's, for tests of what no recorded one shows. */
import type { StatementFact } from '@fixpoint/core/knowledge/facts.ts';
import { madeUpFile, readFeed } from '../recorded.ts';
import { redhatCsaf } from './redhat-csaf.ts';

export interface MadeUpVex {
  readonly document: object;
  readonly product_tree: { readonly branches: object[]; readonly relationships: object[] };
  vulnerabilities: object[];
}

const platforms: Readonly<Record<string, string>> = {
  red_hat_enterprise_linux_8: 'cpe:/o:redhat:enterprise_linux:8',
  red_hat_enterprise_linux_9: 'cpe:/o:redhat:enterprise_linux:9',
  'AppStream-9.4.0.Z.MAIN.EUS': 'cpe:/a:redhat:enterprise_linux:9::appstream',
  'BaseOS-9.4.0.Z.MAIN.EUS': 'cpe:/o:redhat:enterprise_linux:9::baseos',
  'AppStream-9.2.0.Z.EUS': 'cpe:/a:redhat:rhel_eus:9.2::appstream',
  'AppStream-8.6.0.Z.AUS': 'cpe:/a:redhat:rhel_aus:8.6::appstream',
  '9Base-satellite-6.16': 'cpe:/a:redhat:satellite:6.16::el9',
  red_hat_quay_3: 'cpe:/a:redhat:quay:3',
  red_hat_products: 'cpe:/a:redhat',
};

/** A VEX document in Red Hat's form: `parts` are `platform:component`, each with the purl of the component or null. */
export function vex(
  parts: Readonly<Record<string, string | null>>,
  vulnerability: object,
  document: object = {},
): MadeUpVex {
  const product = (id: string, helper: object) => ({
    product_id: id,
    name: id,
    ...(Object.keys(helper).length === 0 ? {} : { product_identification_helper: helper }),
  });
  const list = Object.entries(parts).map(([part, purl]) => {
    const platform = Object.keys(platforms).find((id) => part.startsWith(`${id}:`)) ?? '';
    return { part, platform, component: part.slice(platform.length + 1), purl };
  });
  const components = new Map(list.map(({ component, purl }) => [component, purl]));
  return {
    document: {
      category: 'csaf_vex',
      csaf_version: '2.0',
      title: 'a flaw',
      publisher: {
        category: 'vendor',
        name: 'Red Hat Product Security',
        namespace: 'https://www.redhat.com',
      },
      tracking: {
        id: 'CVE-2024-7348',
        status: 'final',
        version: '3',
        initial_release_date: '2024-08-08T00:00:00+00:00',
        current_release_date: '2024-09-16T20:59:13+00:00',
        revision_history: [
          { date: '2024-08-08T00:00:00+00:00', number: '1', summary: 'Initial version' },
          { date: '2024-08-29T07:22:44+00:00', number: '2', summary: 'Current version' },
          { date: '2024-09-16T20:59:13+00:00', number: '3', summary: 'Last generated version' },
        ],
      },
      ...document,
    },
    product_tree: {
      branches: [
        {
          category: 'vendor',
          name: 'Red Hat',
          branches: [
            ...Object.entries(platforms).map(([id, cpe]) => ({
              category: 'product_name',
              name: id,
              product: product(id, { cpe }),
            })),
            ...[...components].map(([id, purl]) => ({
              category: 'product_version',
              name: id,
              product: product(id, purl === null ? {} : { purl }),
            })),
          ],
        },
      ],
      relationships: list.map(({ part, component, platform }) => ({
        category: 'default_component_of',
        full_product_name: { name: part, product_id: part },
        product_reference: component,
        relates_to_product_reference: platform,
      })),
    },
    vulnerabilities: [{ cve: 'CVE-2024-7348', ...vulnerability }],
  };
}

/** Reads one document. */
export async function read(document: object) {
  const { records, rejections } = await readFeed(redhatCsaf, madeUpFile(JSON.stringify(document)));
  const facts = records[0]?.facts ?? [];
  const statements = facts.filter((fact): fact is StatementFact => fact.kind === 'statement');
  return { record: records[0], facts, statements, rejections };
}

/** What a statement is about, and its fix. */
export const brief = ({
  package: name,
  packageKind,
  release,
  channel,
  module,
  fixedVersion,
}: StatementFact) => [name, packageKind, release, channel, module, fixedVersion] as const;
