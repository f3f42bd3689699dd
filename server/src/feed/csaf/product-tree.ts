import { schemaComplaint } from '../record.ts';
import type { CsafProblem } from './csaf.ts';
import {
  validBranch,
  validRelationship,
  type DocumentJson,
  type ProductJson,
  type RelationshipJson,
} from './schema.ts';

/** A product of the product tree: one that a branch or a list defines, or one that a relationship makes of two others. */
export interface CsafProduct {
  readonly id: string;
  readonly name: string;
  readonly cpe: string | null;
  readonly purl: string | null;
  /** The branches that it is in, outermost first, its own included: vendor, product_family, product_name, …. */
  readonly branches: readonly { readonly category: string; readonly name: string }[];
  /** What a relationship says: `component` is `category` (such as `default_component_of`) `platform`. Both are product ids. */
  readonly relation: {
    readonly category: string;
    readonly component: string;
    readonly platform: string;
  } | null;
}

export interface ProductTree {
  readonly products: ReadonlyMap<string, CsafProduct>;
}

/** What a product comes down to once all relationships are followed. */
export interface ResolvedProduct {
  /** The component itself, which is no relationship: `curl-0:7.76.1-26.el9_3.2.x86_64`. */
  readonly component: CsafProduct;
  /** What it is part of, nearest first: a module, then the platform. Empty for a product that stands alone. */
  readonly within: readonly CsafProduct[];
}

/** Of branches in each other; the standard gives no limit, real trees have about six. */
const maximumDepth = 32;
/** Of relationships that refer to relationships; Red Hat's modules need two. */
const maximumRelations = 8;

/** Reads the product tree of a document; what is not as the standard wants it goes to `problems` and is left out. */
export function readProductTree(
  tree: NonNullable<DocumentJson['product_tree']>,
  problems: CsafProblem[],
): ProductTree {
  const products = new Map<string, CsafProduct>();

  const define = (
    json: ProductJson,
    position: string,
    branches: CsafProduct['branches'],
    relation: CsafProduct['relation'],
  ): void => {
    const helper = json.product_identification_helper;
    const product: CsafProduct = {
      id: json.product_id,
      name: json.name,
      cpe: helper?.cpe ?? null,
      purl: helper?.purl ?? helper?.purls?.[0] ?? null,
      branches,
      relation,
    };
    const earlier = products.get(product.id);
    if (earlier === undefined) {
      products.set(product.id, product);
    } else if (!sameProduct(earlier, product)) {
      // Said twice in the same words is only said twice. Else the first definition stands.
      const message = `${product.id} is defined twice, differently`;
      problems.push({ position, code: 'product_defined_twice', message });
    }
  };

  const readBranches = (list: readonly unknown[], position: string, above: CsafProduct['branches']): void => {
    if (above.length >= maximumDepth) {
      const message = `branches are more than ${String(maximumDepth)} deep`;
      problems.push({ position, code: 'branch_too_deep', message });
      return;
    }
    for (const [index, branch] of list.entries()) {
      const at = `${position}[${String(index)}]`;
      if (!validBranch.Check(branch)) {
        problems.push({
          position: at,
          code: 'branch_invalid',
          message: schemaComplaint(validBranch.Errors(branch)),
        });
        continue;
      }
      const path = [...above, { category: branch.category, name: branch.name }];
      if (branch.product !== undefined) define(branch.product, at, path, null);
      if (branch.branches !== undefined) readBranches(branch.branches, `${at}/branches`, path);
    }
  };

  readBranches(tree.branches ?? [], 'product_tree/branches', []);
  for (const [index, product] of (tree.full_product_names ?? []).entries()) {
    define(product, `product_tree/full_product_names[${String(index)}]`, [], null);
  }
  const relationships: { json: RelationshipJson; position: string }[] = [];
  for (const [index, json] of (tree.relationships ?? []).entries()) {
    const position = `product_tree/relationships[${String(index)}]`;
    if (!validRelationship.Check(json)) {
      const message = schemaComplaint(validRelationship.Errors(json));
      problems.push({ position, code: 'relationship_invalid', message });
      continue;
    }
    relationships.push({ json, position });
    define(json.full_product_name, position, [], {
      category: json.category,
      component: json.product_reference,
      platform: json.relates_to_product_reference,
    });
  }
  for (const { json, position } of relationships) {
    // Only now: a relationship may refer to one that is listed after it.
    for (const reference of [json.product_reference, json.relates_to_product_reference]) {
      if (products.has(reference)) continue;
      products.delete(json.full_product_name.product_id);
      const message = `${reference} is not in the product tree`;
      problems.push({ position, code: 'product_undefined', message });
    }
  }
  return { products };
}

function sameProduct(one: CsafProduct, other: CsafProduct): boolean {
  return (
    one.name === other.name &&
    one.cpe === other.cpe &&
    one.purl === other.purl &&
    one.relation?.component === other.relation?.component &&
    one.relation?.platform === other.relation?.platform
  );
}

/**
 * Follows relationships from a product to the component that is meant and to what it is part of. Null for an id that the
 * tree does not have, and for relationships that go round in a circle.
 */
export function resolveProduct(tree: ProductTree, id: string): ResolvedProduct | null {
  return resolve(tree, id, 0);
}

function resolve(tree: ProductTree, id: string, depth: number): ResolvedProduct | null {
  const product = tree.products.get(id);
  if (product === undefined || depth > maximumRelations) return null;
  if (product.relation === null) return { component: product, within: [] };
  const component = resolve(tree, product.relation.component, depth + 1);
  const platform = resolve(tree, product.relation.platform, depth + 1);
  if (component === null || platform === null) return null;
  return {
    component: component.component,
    within: [...component.within, platform.component, ...platform.within],
  };
}
