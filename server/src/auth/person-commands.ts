import {
  permissionsOfRole,
  type Permission,
  type Person,
  type PersonRequest,
  type Role,
  type SignInResponse,
} from '@fixpoint/contract/access.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { Context, Transact } from '../context.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import { closeSession, openSession, replacePassword, roleOf, storePerson, storedToken } from './people.ts';
import { allPeople, deleteOtherSessions, deletePerson, lockKeys, lockPeople } from './store.ts';

/** People and their sessions. Tokens are in commands.ts. */

/** Opens a session for a person. Success and refusal are both on the audit trail. */
export async function signIn(
  context: ServerContext,
  request: {
    readonly email: string;
    readonly password: string;
    readonly userAgent: string;
    readonly address: string;
  },
): Promise<Answer<SignInResponse>> {
  return await transact(context.db, async (trx) => {
    const opened = await openSession(trx, context, request);
    const actor: Actor = { kind: 'person', name: opened?.person.email ?? request.email.toLowerCase() };
    if (opened === null) {
      await appendAudit(trx, context, {
        actor,
        event: 'person.sign_in_refused',
        subjectKind: 'person',
        subject: actor.name,
        reason: 'e-mail address or password is wrong',
        after: { address: request.address },
      });
      return refuse(
        401,
        'sign_in_refused',
        'e-mail address or password is wrong',
        'check both; an administrator can make a new account',
      );
    }
    await appendAudit(trx, context, {
      actor,
      event: 'person.signed_in',
      subjectKind: 'person',
      subject: actor.name,
      after: { address: request.address },
    });
    const { email, name, role } = opened.person;
    return answer({
      session: opened.session,
      expires_at: opened.expiresAt.toISOString(),
      person: { email, name, role },
    });
  });
}

export async function signOut(
  context: ServerContext,
  session: string,
): Promise<Answer<{ signed_out: true }>> {
  await closeSession(context, session);
  return answer({ signed_out: true });
}

/** Whoever acts on other people's accounts, with what they may do themselves. */
export interface Acting {
  readonly actor: Actor;
  readonly permissions: readonly Permission[];
}

/** What a role may do that this actor may not: nobody makes, or removes, somebody who may do more than themselves. */
function beyond(acting: Acting, role: Role): Permission[] {
  return permissionsOfRole[role].filter((permission) => !acting.permissions.includes(permission));
}

const roleExceeded = (role: Role, missing: readonly Permission[]) =>
  refuse(
    403,
    'permissions_exceeded',
    `an account with the role ${role} may do what you may not: ${missing.join(', ')}`,
    'ask an administrator to do it',
  );

/** Lets somebody sign in. They can do no more than whoever makes the account. */
export async function createPerson(
  context: ServerContext,
  acting: Acting,
  request: PersonRequest,
): Promise<Answer<Person>> {
  const missing = beyond(acting, request.role);
  if (missing.length > 0) return roleExceeded(request.role, missing);
  return await transact(context.db, async (trx) => {
    // Two accounts of one address at once: the second is refused, not broken off.
    await lockPeople(trx);
    return await addPerson(trx, context, acting.actor, request);
  });
}

async function addPerson(
  trx: Transact,
  context: ServerContext,
  actor: Actor,
  request: PersonRequest,
): Promise<Answer<Person>> {
  const person = { ...request, email: request.email.toLowerCase() };
  const stored = await storePerson(trx, context, person);
  if (stored === null) {
    return refuse(
      409,
      'person_exists',
      `there is an account for ${person.email} already`,
      'use another e-mail address',
    );
  }
  const { email, name, role } = person;
  await appendAudit(trx, context, {
    actor,
    event: 'person.created',
    subjectKind: 'person',
    subject: email,
    after: { name, role },
  });
  return answer({ id: stored.id, email, name, role, created_at: stored.createdAt.toISOString() });
}

/** Removes an account; its sessions end at once. Tokens that the person made stay: they belong to the tools. */
export async function removePerson(
  context: Context,
  acting: Acting,
  id: string,
): Promise<Answer<{ id: string; email: string }>> {
  return await transact(context.db, async (trx) => {
    await lockPeople(trx);
    const people = await allPeople(trx);
    const person = people.find((one) => one.id === id);
    if (person === undefined) {
      return refuse(
        404,
        'person_unknown',
        'there is no person with this id',
        'list them: GET /api/v1/people',
      );
    }
    const missing = beyond(acting, roleOf(person.role));
    if (missing.length > 0) return roleExceeded(roleOf(person.role), missing);
    const administrators = people.filter((one) => roleOf(one.role) === 'administrator');
    if (administrators.length === 1 && administrators[0]?.id === id) {
      return refuse(
        409,
        'last_administrator',
        `${person.email} is the only administrator`,
        'make another administrator first',
      );
    }
    await deletePerson(trx, id);
    await appendAudit(trx, context, {
      actor: acting.actor,
      event: 'person.removed',
      subjectKind: 'person',
      subject: person.email,
      before: { name: person.name, role: roleOf(person.role) },
    });
    return answer({ id, email: person.email });
  });
}

/** Changes one's own password and ends one's other sessions. */
export async function changePassword(
  context: ServerContext,
  person: { readonly actor: Actor; readonly session: string },
  passwords: { readonly current: string; readonly next: string },
): Promise<Answer<{ changed: true }>> {
  return await transact(context.db, async (trx) => {
    if (!(await replacePassword(trx, context, person.session, passwords))) {
      return refuse(403, 'password_wrong', 'the current password is another one', 'check it and try again');
    }
    await deleteOtherSessions(trx, person.actor.name, storedToken(person.session));
    await appendAudit(trx, context, {
      actor: person.actor,
      event: 'person.password_changed',
      subjectKind: 'person',
      subject: person.actor.name,
    });
    return answer({ changed: true });
  });
}

export async function listPeople(context: Pick<Context, 'db'>): Promise<{ items: Person[] }> {
  const people = await allPeople(context.db);
  return {
    items: people.map(({ id, email, name, role, createdAt }) => ({
      id,
      email,
      name,
      role: roleOf(role),
      created_at: createdAt.toISOString(),
    })),
  };
}

export const firstAdministratorEmail = 'admin@fixpoint.localhost';

/** The first person of a new server, with a password that is in this answer and nowhere else; null when there are people. */
export async function firstAdministrator(
  context: ServerContext,
): Promise<{ email: string; password: string } | null> {
  return await transact(context.db, async (trx) => {
    await lockKeys(trx);
    if ((await allPeople(trx)).length > 0) return null;
    const password = Buffer.from(context.random.bytes(15)).toString('base64url');
    const email = firstAdministratorEmail;
    const added = await addPerson(
      trx,
      context,
      { kind: 'system', name: 'server' },
      {
        email,
        name: 'Administrator',
        role: 'administrator',
        password,
      },
    );
    if (!added.ok) throw new Error(`the first administrator was refused: ${added.message}`);
    return { email, password };
  });
}
