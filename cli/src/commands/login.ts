import type { Command } from 'commander';
import { SignInResponse } from '@fixpoint/contract/access.ts';
import { storeSignIn } from '../connection.ts';
import { ask } from '../http-client.ts';
import { serverOf } from '../list.ts';
import { print } from '../output/stream.ts';
import { absolute } from '../output/time.ts';
import { readLine, readSecret } from '../prompt.ts';

export function register(noun: Command): void {
  noun
    .argument('[email]', 'asked for when it is not given')
    .option('--server <url>', 'the server to sign in at (also FIXPOINT_SERVER)')
    .addHelpText('after', '\nThe password is asked for, or read from the first line of standard input.')
    .action(async (email: string | undefined, options: { server?: string }) => {
      const to = { ...serverOf(options), credential: null, credentialFrom: 'this sign-in' };
      const address = email ?? (await readLine('E-mail address: '));
      const password = await readSecret(`Password of ${address} at ${to.server}: `);
      const answer = await ask(to, '/api/v1/sign-in', SignInResponse, {
        method: 'POST',
        json: { email: address, password },
      });
      const file = storeSignIn({
        server: to.server,
        session: answer.session,
        expires_at: answer.expires_at,
        email: answer.person.email,
      });
      print(`Signed in at ${to.server} as ${answer.person.email} (${answer.person.role}).`);
      print(
        `The session is kept in ${file} until ${absolute(answer.expires_at) ?? 'it ends'}; fixpoint logout ends it.`,
      );
    });
}
