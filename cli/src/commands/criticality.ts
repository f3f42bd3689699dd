import type { Command } from 'commander';
import {
  AssetAttributes,
  AssetCriticality,
  AttributeBulkChanged,
  CriticalityPreview,
  CriticalityRule,
  CriticalityRules,
  type CriticalityRuleRequest,
} from '@fixpoint/contract/criticality.ts';
import type { Connection } from '../connection.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask } from '../http-client.ts';
import { forServer, serverOf, type ServerOptions } from '../list.ts';
import { note, print, printJson } from '../output/stream.ts';
import { facts, table, type Column } from '../output/table.ts';

const columns: readonly Column<CriticalityRule>[] = [
  { title: 'CRITICALITY', of: (r) => String(r.criticality), align: 'right' },
  { title: 'RULE', of: (r) => r.name },
  { title: 'ASSETS', of: (r) => String(r.assets), align: 'right' },
  { title: 'QUERY', of: (r) => r.query, yields: 2, least: 16 },
  { title: 'ID', of: (r) => r.id, yields: 1, least: 36 },
];
const counted = (assets: number): string => (assets === 1 ? '1 asset' : `${String(assets)} assets`);
const rulesPath = '/api/v1/criticality-rules';

/** Rules: the first that holds gives an asset its criticality, unless a person has set it. */
export function register(noun: Command): void {
  forServer(
    noun.command('list').description('criticality rules in their order; the first that holds counts'),
  ).action(async (options: ServerOptions) => {
    const rules = await ask(serverOf(options), rulesPath, CriticalityRules);
    if (options.json === true) printJson(rules);
    else if (rules.items.length === 0)
      print('No rule: every asset has criticality 3, unless a person has set another.');
    else print(table(columns, rules.items));
  });

  forServer(noun.command('create').description('a rule behind all others'))
    .argument('<name>')
    .argument('<criticality>', '1 (least) to 5')
    .argument('<query...>', "assets that it is for, such as 'tag = production and attribute.role = db'")
    .option('--preview', 'only say whose criticality would be another')
    .action(
      async (name: string, text: string, words: string[], options: ServerOptions & { preview?: boolean }) => {
        const to = serverOf(options);
        const rule = { name, criticality: levelOf(text), query: words.join(' ') };
        if (options.preview === true) {
          await preview(to, options, (rules) => [...rules, rule]);
          return;
        }
        const made = await ask(to, rulesPath, CriticalityRule, { method: 'POST', json: rule });
        if (options.json === true) printJson(made);
        else print(`${made.name} gives ${counted(made.assets)} criticality ${String(made.criticality)}.`);
      },
    );

  forServer(noun.command('change').description('a rule'))
    .argument('<rule>', 'its name or id')
    .option('--name <name>')
    .option('--criticality <n>', '1 (least) to 5')
    .option('--query <query>')
    .option('--preview', 'only say whose criticality would be another')
    .action(
      async (
        reference: string,
        options: ServerOptions & { name?: string; criticality?: string; query?: string; preview?: boolean },
      ) => {
        const to = serverOf(options);
        const { id } = await ruleCalled(to, reference);
        const change = {
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(options.query === undefined ? {} : { query: options.query }),
          ...(options.criticality === undefined ? {} : { criticality: levelOf(options.criticality) }),
        };
        if (options.preview === true) {
          await preview(to, options, (rules) =>
            rules.map((rule) => (rule.id === id ? { ...rule, ...change } : rule)),
          );
          return;
        }
        const changed = await ask(to, `${rulesPath}/${id}`, CriticalityRule, {
          method: 'PATCH',
          json: change,
        });
        if (options.json === true) printJson(changed);
        else
          print(
            `${changed.name} gives ${counted(changed.assets)} criticality ${String(changed.criticality)} now.`,
          );
      },
    );

  forServer(noun.command('delete').description('a rule'))
    .argument('<rule>', 'its name or id')
    .option('--preview', 'only say whose criticality would be another')
    .action(async (reference: string, options: ServerOptions & { preview?: boolean }) => {
      const to = serverOf(options);
      const { id } = await ruleCalled(to, reference);
      if (options.preview === true) {
        await preview(to, options, (rules) => rules.filter((rule) => rule.id !== id));
        return;
      }
      const deleted = await ask(to, `${rulesPath}/${id}`, CriticalityRule, { method: 'DELETE' });
      if (options.json === true) printJson(deleted);
      else print(`Deleted the rule ${deleted.name}.`);
    });

  forServer(noun.command('order').description('put the rules in an order; those not named stay behind'))
    .argument('<rules...>', 'names or ids')
    .action(async (references: string[], options: ServerOptions) => {
      const to = serverOf(options);
      const { items } = await ask(to, rulesPath, CriticalityRules);
      const first = references.map((reference) => found(items, reference).id);
      const order = [...new Set([...first, ...items.map(({ id }) => id)])];
      const rules = await ask(to, `${rulesPath}/order`, CriticalityRules, { method: 'PUT', json: { order } });
      if (options.json === true) printJson(rules);
      else print(table(columns, rules.items));
    });
}

async function preview(
  to: Connection,
  options: ServerOptions,
  change: (rules: readonly CriticalityRule[]) => readonly CriticalityRuleRequest[],
): Promise<void> {
  const { items } = await ask(to, rulesPath, CriticalityRules);
  const rules = change(items).map(({ name, query, criticality }) => ({ name, query, criticality }));
  const seen = await ask(to, `${rulesPath}/preview`, CriticalityPreview, { method: 'POST', json: { rules } });
  if (options.json === true) {
    printJson(seen);
    return;
  }
  if (seen.changes.length === 0) print('No asset would have another criticality.');
  else {
    print(
      table(
        [
          { title: 'FROM', of: (c) => String(c.from), align: 'right' },
          { title: 'TO', of: (c) => String(c.to), align: 'right' },
          { title: 'ASSETS', of: (c) => String(c.assets), align: 'right' },
          { title: 'SUCH AS', of: (c) => c.first.join(', '), yields: 1, least: 10 },
        ] satisfies Column<CriticalityPreview['changes'][number]>[],
        seen.changes,
      ),
    );
  }
  note('Nothing was changed: this was a preview.');
}

async function ruleCalled(to: Connection, reference: string): Promise<CriticalityRule> {
  return found((await ask(to, rulesPath, CriticalityRules)).items, reference);
}

function found(rules: readonly CriticalityRule[], reference: string): CriticalityRule {
  const rule = rules.find(({ id, name }) => id === reference || name === reference);
  if (rule !== undefined) return rule;
  throw new Failure(
    exitCodes.usage,
    'criticality_rule_unknown',
    `there is no criticality rule ${reference}`,
    'List them: fixpoint criticality list',
  );
}

function levelOf(text: string): number {
  const level = Number(text);
  if (Number.isInteger(level) && level >= 1 && level <= 5) return level;
  throw new Failure(
    exitCodes.usage,
    'usage',
    `${text} is no criticality`,
    'Criticality is a whole number from 1 (least) to 5.',
  );
}

interface AttributeOptions extends ServerOptions {
  readonly remove?: string[];
  readonly query?: string;
  readonly expect?: string;
}

/** What is said of assets by hand, under `fixpoint asset`. */
export function registerForAssets(noun: Command): void {
  forServer(
    noun.command('criticality').description('how critical an asset is; with a number or rules, set it'),
  )
    .argument('<asset>', 'id, or hostname when unique')
    .argument('[criticality]', '1 (least) to 5, or rules to leave it to the rules')
    .option('--reason <text>', 'why, for the audit trail')
    .action(
      async (reference: string, text: string | undefined, options: ServerOptions & { reason?: string }) => {
        const path = `/api/v1/assets/${encodeURIComponent(reference)}/criticality`;
        if (text !== undefined && options.reason === undefined)
          throw new Failure(
            exitCodes.usage,
            'usage',
            'a reason is missing',
            'Give --reason, for the audit trail.',
          );
        const now = await ask(
          serverOf(options),
          path,
          AssetCriticality,
          text === undefined
            ? {}
            : {
                method: 'PUT',
                json: { criticality: text === 'rules' ? null : levelOf(text), reason: options.reason },
              },
        );
        if (options.json === true) {
          printJson(now);
          return;
        }
        const by = {
          person: 'set by a person',
          rule: `by the rule ${now.rule ?? '?'}`,
          default: 'what holds where nobody says otherwise',
        };
        print(`${now.hostname} has criticality ${String(now.criticality)} of 5: ${by[now.by]}.`);
      },
    );

  forServer(
    noun.command('attribute').description('attributes of your own of an asset, or of all that a query finds'),
  )
    .argument('[words...]', 'the asset (without --query), then key=value…')
    .option('--remove <keys...>', 'attributes to take away')
    .option('--query <query>', 'of all assets that this finds')
    .option('--expect <n>', 'how many assets the query finds; without it nothing is changed')
    .action(async (words: string[], options: AttributeOptions) => {
      await attributes(words, options);
    });
}

async function attributes(words: string[], options: AttributeOptions): Promise<void> {
  const to = serverOf(options);
  const [reference, assignments] =
    options.query === undefined ? [words[0], words.slice(1)] : [undefined, words];
  const change = { set: Object.fromEntries(assignments.map(assignment)), remove: options.remove ?? [] };
  if (options.query !== undefined) {
    const expected = options.expect === undefined ? {} : { expected_assets: Number(options.expect) };
    const done = await ask(to, '/api/v1/assets/attributes', AttributeBulkChanged, {
      method: 'POST',
      json: { query: options.query, ...change, ...expected },
    });
    if (options.json === true) printJson(done);
    else if (done.applied)
      print(
        `Changed ${String(done.changed)} of ${counted(done.assets)}${done.changed < done.assets ? '; the others had it already' : ''}.`,
      );
    else
      print(
        `The query finds ${counted(done.assets)}. Nothing was changed: repeat with --expect ${String(done.assets)}.`,
      );
    return;
  }
  if (reference === undefined)
    throw new Failure(
      exitCodes.usage,
      'usage',
      'an asset or --query is missing',
      'Name an asset, or a query.',
    );
  const path = `/api/v1/assets/${encodeURIComponent(reference)}/attributes`;
  const isChange = assignments.length > 0 || change.remove.length > 0;
  const now = await ask(to, path, AssetAttributes, isChange ? { method: 'PUT', json: change } : {});
  if (options.json === true) printJson(now);
  else if (Object.keys(now.attributes).length === 0) print(`${now.hostname} has no attributes.`);
  else print(facts(Object.entries(now.attributes)));
}

function assignment(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new Failure(exitCodes.usage, 'usage', `${text} is no key=value`, 'Write it like role=web.');
}
