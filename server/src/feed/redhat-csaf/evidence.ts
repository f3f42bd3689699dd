/** Above this many UTF-16 units a document is kept without its lists of products. */
const wholeLength = 32 * 1024;

/**
 * A document as it is kept for evidence. Those of kernels and languages list each package for each architecture and product
 * several times over (4 MB for postgresql’s CVE-2024-7348); the statements say the same. What is left out is said in its place.
 */
export function evidenceOf(text: string, value: unknown): string {
  if (text.length <= wholeLength) return text;
  return JSON.stringify(value, (key, member: unknown) => {
    if (key === 'product_tree') return `left out here, of ${String(text.length)} characters of the document`;
    if (Array.isArray(member) && (key === 'products' || key === 'product_ids' || productStatus.has(key))) {
      return `${String(member.length)} products, left out here`;
    }
    return member;
  });
}

const productStatus = new Set(['fixed', 'known_affected', 'known_not_affected', 'under_investigation']);
