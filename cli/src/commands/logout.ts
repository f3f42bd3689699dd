import type { Command } from 'commander';
import { forgetSignIn } from '../connection.ts';
import { Failure } from '../failure.ts';
import { tell } from '../http-client.ts';
import { note, print } from '../output/stream.ts';

export function register(noun: Command): void {
  noun.action(async () => {
    const known = forgetSignIn();
    if (known === null) {
      print('Nobody was signed in.');
      return;
    }
    const to = { server: known.server, credential: known.session, credentialFrom: 'the stored sign-in' };
    try {
      await tell(to, '/api/v1/sign-out', { method: 'POST', timeoutSeconds: 10 });
    } catch (error) {
      // Forgotten here all the same; the session ends by itself.
      if (!(error instanceof Failure)) throw error;
      note(`note: the server did not end the session (${error.message}); it expires by itself`);
    }
    print(`Signed out ${known.email} at ${known.server}.`);
  });
}
