import type { Room } from './app.ts';
import { routes as audit } from './audit/routes.ts';
import { routes as auth } from './auth/routes.ts';

/** Every room that answers over HTTP. */
export const rooms: readonly Room[] = [auth, audit];
