import { SaxesParser } from 'saxes';
import type { FeedFile, FeedRejection } from '../feed.ts';
import { notThisFormat, openInput, textOf, tooLarge, truncated } from '../input.ts';
import { rejection } from '../record.ts';

/**
 * A reader of `updateinfo.xml`, the metadata of RPM repositories that says what an update is for: Amazon Linux publishes its
 * advisories in it, and AlmaLinux, Rocky, SUSE and Fedora theirs too. Format: createrepo_c `src/xml_dump_updateinfo.c`,
 * libsolv `ext/repo_updateinfoxml.c`. It is read as a stream, an update at a time.
 *
 * Nothing of the XML reaches out: the parser has no external entities, and a document that declares entities of its own (or
 * has any DTD) is refused before they could be used.
 */

export interface Update {
  readonly id: string;
  /** `security`, `bugfix`, `enhancement`, `newpackage`. */
  readonly type: string;
  /** `final`, `stable`, `testing`, … */
  readonly status: string;
  readonly title: string;
  /** As the publisher writes it; see {@link instantOf}. */
  readonly issued: string;
  readonly updated: string;
  readonly severity: string;
  readonly description: string;
  readonly references: readonly UpdateReference[];
  readonly collections: readonly UpdateCollection[];
  /** The element as published. */
  readonly raw: string;
}

export interface UpdateReference {
  /** `cve`, `bugzilla`, `self`, `other`. */
  readonly type: string;
  readonly id: string;
  readonly href: string;
  readonly title: string;
}

export interface UpdateCollection {
  readonly short: string;
  readonly name: string;
  /** Modular RPMs: `nodejs:18`; null for what is in no module. */
  readonly module: string | null;
  readonly packages: readonly UpdatePackage[];
}

export interface UpdatePackage {
  readonly name: string;
  readonly epoch: string;
  readonly version: string;
  readonly release: string;
  readonly arch: string;
}

const limits = {
  /** Of one update in UTF-16 units; the largest of SUSE and Amazon (kernels) are below 2 MB. */
  updateLength: 16 * 1024 * 1024,
  /** Of elements in each other; the format has seven. */
  depth: 24,
  /** Packages and references of one update. */
  children: 100_000,
} as const;

/** All updates of a file. An update without an id is a rejection; XML that is not well-formed is an error of the file. */
export async function* readUpdateinfo(file: FeedFile): AsyncGenerator<Update | FeedRejection> {
  const input = await openInput(file, { markup: true });
  const reader = new UpdateReader(file.name);
  for await (const piece of textOf(input.bytes)) {
    reader.write(piece);
    yield* reader.take();
  }
  reader.end();
  yield* reader.take();
}

interface Draft {
  start: number;
  attributes: Readonly<Record<string, string>>;
  fields: Map<string, string>;
  references: UpdateReference[];
  collections: { short: string; name: string; module: string | null; packages: UpdatePackage[] }[];
  children: number;
}

class UpdateReader {
  private readonly name: string;
  private readonly parser = new SaxesParser({ xmlns: false as const, position: true });
  private readonly path: string[] = [];
  private done: (Update | FeedRejection)[] = [];
  private draft: Draft | null = null;
  private text = '';
  /** What has been read and not yet let go, for `raw`, and where in the file it starts. */
  private held = '';
  private heldFrom = 0;
  private count = 0;

  constructor(name: string) {
    this.name = name;
    this.parser.on('doctype', () => {
      throw notThisFormat(name, 'an updateinfo', 'it has a document type, which the format does not');
    });
    this.parser.on('error', (error) => {
      throw notThisFormat(name, 'well-formed XML', error.message);
    });
    this.parser.on('opentag', (tag) => {
      this.open(tag.name, tag.attributes);
    });
    this.parser.on('closetag', (tag) => {
      this.close(tag.name);
    });
    const addText = (text: string): void => {
      if (this.draft !== null) this.text += text;
    };
    this.parser.on('text', addText);
    this.parser.on('cdata', addText);
  }

  write(piece: string): void {
    this.held += piece;
    this.parser.write(piece);
    if (this.draft === null) {
      // Only the start of a tag may still be wanted.
      this.letGo(Math.max(this.heldFrom, this.parser.position - 4096));
    } else {
      this.letGo(this.draft.start);
      if (this.held.length > limits.updateLength) throw this.updateTooLarge('length', limits.updateLength);
    }
  }

  end(): void {
    if (this.path.length > 0) throw truncated(this.name, `inside <${this.path.join('><')}>`);
    this.parser.close();
  }

  take(): (Update | FeedRejection)[] {
    const done = this.done;
    this.done = [];
    return done;
  }

  private updateTooLarge(what: string, limit: number): Error {
    return tooLarge(this.name, `the ${what} of update ${String(this.count)}`, limit);
  }

  private letGo(until: number): void {
    this.held = this.held.slice(until - this.heldFrom);
    this.heldFrom = until;
  }

  private open(name: string, attributes: Readonly<Record<string, string>>): void {
    if (this.path.length === 0 && name !== 'updates') {
      throw notThisFormat(this.name, 'an updateinfo', `it starts with <${name}>`);
    }
    this.path.push(name);
    if (this.path.length > limits.depth) throw this.updateTooLarge('depth', limits.depth);
    this.text = '';
    const at = this.path.join('/');
    if (at === 'updates/update') {
      this.count++;
      const start = this.held.lastIndexOf('<update', this.parser.position - this.heldFrom);
      this.draft = {
        start: this.heldFrom + start,
        attributes,
        fields: new Map(),
        references: [],
        collections: [],
        children: 0,
      };
      return;
    }
    const { draft } = this;
    if (draft === null) return;
    const collection = draft.collections.at(-1);
    const of = (key: string): string => (Object.hasOwn(attributes, key) ? (attributes[key] ?? '') : '');
    switch (at) {
      case 'updates/update/issued':
      case 'updates/update/updated':
        draft.fields.set(name, of('date'));
        break;
      case 'updates/update/references/reference':
        this.addChild(draft);
        draft.references.push({ type: of('type'), id: of('id'), href: of('href'), title: of('title') });
        break;
      case 'updates/update/pkglist/collection':
        draft.collections.push({ short: of('short'), name: '', module: null, packages: [] });
        break;
      case 'updates/update/pkglist/collection/module':
        if (collection !== undefined) collection.module = `${of('name')}:${of('stream')}`;
        break;
      case 'updates/update/pkglist/collection/package':
        this.addChild(draft);
        collection?.packages.push({
          name: of('name'),
          epoch: of('epoch'),
          version: of('version'),
          release: of('release'),
          arch: of('arch'),
        });
        break;
      default:
        break;
    }
  }

  private addChild(draft: Draft): void {
    draft.children++;
    if (draft.children > limits.children) throw this.updateTooLarge('number of parts', limits.children);
  }

  private close(name: string): void {
    const at = this.path.join('/');
    this.path.pop();
    const { draft } = this;
    if (draft === null) return;
    const text = this.text.trim();
    this.text = '';
    if (at === `updates/update/${name}` && !draft.fields.has(name)) draft.fields.set(name, text);
    const collection = draft.collections.at(-1);
    if (at === 'updates/update/pkglist/collection/name' && collection !== undefined) collection.name = text;
    if (at !== 'updates/update') return;
    this.draft = null;
    this.done.push(
      this.finish(draft, this.held.slice(draft.start - this.heldFrom, this.parser.position - this.heldFrom)),
    );
  }

  private finish(draft: Draft, raw: string): Update | FeedRejection {
    const { attributes } = draft;
    const field = (name: string): string => draft.fields.get(name) ?? '';
    const id = field('id');
    if (id === '') {
      return rejection(`update ${String(this.count)}`, 'id_missing', 'the update has no id', raw);
    }
    return {
      id,
      type: attributes['type'] ?? '',
      status: attributes['status'] ?? '',
      title: field('title'),
      issued: field('issued'),
      updated: field('updated'),
      severity: field('severity'),
      description: field('description'),
      references: draft.references,
      collections: draft.collections,
      raw,
    };
  }
}

/** Whether an item of {@link readUpdateinfo} is one that was refused. */
export function isRejection(item: Update | FeedRejection): item is FeedRejection {
  return 'outcome' in item;
}
