import { Health } from '@fixpoint/contract/audit.ts';
import { sql } from 'kysely';
import type { Room } from './app.ts';
import { version } from './version.ts';

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fixpoint</title>
<style>body{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}
pre{background:#f2f2f2;padding:1rem;overflow:auto}h1{margin-bottom:0}</style>
<main>
<h1>Fixpoint</h1>
<p>This server detects vulnerabilities on hosts, names the patch that fixes each, deploys patches by jobs, and verifies
the fix. It is used from the command line on any machine that reaches it:</p>
<pre>fixpoint login              # with your e-mail address and password
fixpoint asset list         # the hosts it knows
fixpoint finding list       # what is vulnerable on them
fixpoint job create --help  # deploy a patch
fixpoint audit list         # what happened, and who did it</pre>
<p>Whoever runs the server needs no sign-in on its own machine. Everything but this page and <a href="/health">its
health</a> asks for credentials.</p>
</main>
</html>
`;

/** What answers to everybody: the page that says what this is, and the health that a load balancer asks for. */
export const routes: Room = (app, context) => {
  app.get('/', { config: { permission: 'public' }, schema: { hide: true } }, async (_request, reply) => {
    return reply.type('text/html; charset=utf-8').send(page);
  });
  app.get(
    '/health',
    {
      config: { permission: 'public' },
      schema: { summary: 'Whether the server works', response: { 200: Health, 503: Health } },
    },
    async (request, reply) => {
      try {
        await sql`select 1`.execute(context.db);
        return { status: 'ok' as const, version };
      } catch (error) {
        request.log.error({ err: error }, 'the database does not answer');
        return reply.code(503).send({ status: 'failing' as const, version });
      }
    },
  );
};
