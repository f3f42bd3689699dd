/** What matters of os-release(5). */
export interface OsRelease {
  /** ID, such as `debian`; `linux` where the file names none, as os-release(5) says. */
  readonly os: string;
  /** VERSION_ID, such as `12`; empty for rolling releases. */
  readonly os_release: string;
  /** PRETTY_NAME. */
  readonly os_title: string;
}

/**
 * Parses the text of /etc/os-release: shell-like assignments, values bare, in double quotes with backslash escapes, or in
 * single quotes. Lines that are none are passed over, as os-release(5) asks of readers.
 */
export function parseOsRelease(text: string): OsRelease {
  const fields = parseFields(text);
  const os = fields.get('ID') ?? '';
  return {
    os: os === '' ? 'linux' : os.toLowerCase(),
    os_release: fields.get('VERSION_ID') ?? '',
    os_title: fields.get('PRETTY_NAME') ?? fields.get('NAME') ?? 'Linux',
  };
}

/** VERSION_CODENAME, such as `bookworm`; empty where the file names none. */
export function parseCodename(text: string): string {
  return parseFields(text).get('VERSION_CODENAME') ?? '';
}

/** ID and then ID_LIKE, the closest relative first: `rocky`, `rhel`, `centos`, `fedora`. */
export function parseSystemIds(text: string): string[] {
  const fields = parseFields(text);
  return `${fields.get('ID') ?? ''} ${fields.get('ID_LIKE') ?? ''}`
    .toLowerCase()
    .split(/\s+/u)
    .filter((id) => id !== '');
}

function parseFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\s*([A-Z0-9_]+)=(.*)$/u.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) fields.set(match[1], unquote(match[2].trim()));
  }
  return fields;
}

function unquote(value: string): string {
  const quote = value[0];
  if (value.length >= 2 && (quote === '"' || quote === "'") && value.endsWith(quote)) {
    const inner = value.slice(1, -1);
    return quote === '"' ? inner.replaceAll(/\\(["$`\\])/gu, '$1') : inner;
  }
  return value;
}
