/** What a text must not carry off the host. Pure. */

/**
 * Takes out what stands in a URL before `@`, what follows the words under which programs print secrets, tokens of Fixpoint, and
 * the secrets given; control characters become spaces. Works on whole lines: a secret that is cut in two is not seen.
 */
export function withoutSecrets(given: string, secrets: readonly string[]): string {
  let text = given;
  for (const secret of secrets) {
    if (secret.length >= 4) text = text.replaceAll(secret, redacted);
  }
  return (
    text
      // Up to the last `@`: a password may hold one.
      .replaceAll(/([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/]+@/giu, `$1${redacted}@`)
      // Whatever the scheme is, it takes up the rest of the line: `Authorization: token …`, `Digest username=…, response=…`.
      .replaceAll(/(\bauthorization["']?\s*[:=])[^\n]+/giu, `$1 ${redacted}`)
      .replaceAll(
        /(--(?:[a-z-]+-)?(?:password|passwd|passphrase|secret|token)\s+)(?!-)\S+/giu,
        `$1${redacted}`,
      )
      .replaceAll(
        /((?:password|passwd|passphrase|secret|token|api[_-]?key)["']?\s*[:=]\s*)(?:"[^"\n]*"|'[^'\n]*'|\S+)/giu,
        `$1${redacted}`,
      )
      .replaceAll(/\bfx[a-z][._][\w.-]{16,}/gu, redacted)
      // eslint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f]/gu, ' ')
  );
}

export const redacted = '[redacted]';
