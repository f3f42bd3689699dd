/** The only place in the lab that makes HTTP requests: to the product's API, as any tool would. */
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { ApiError } from '@fixpoint/contract/error.ts';

/** The server refused, with its own words. */
export class ApiRefusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface Api {
  get<S extends TSchema>(path: string, schema: S): Promise<Static<S>>;
  post<S extends TSchema>(path: string, body: unknown, schema: S): Promise<Static<S>>;
  put<S extends TSchema>(path: string, body: unknown, schema: S): Promise<Static<S>>;
  /** Sends bytes as they are: a published feed. */
  upload<S extends TSchema>(
    path: string,
    bytes: string | Uint8Array<ArrayBuffer>,
    schema: S,
  ): Promise<Static<S>>;
}

/** A client that holds every answer to its schema. `url` and `token` are asked for at each call: a server may come back elsewhere. */
export function apiClient(url: () => string, token: () => Promise<string>): Api {
  const call = async <S extends TSchema>(
    method: string,
    path: string,
    schema: S,
    body?: { bytes: string | Uint8Array<ArrayBuffer>; type: string },
  ): Promise<Static<S>> => {
    const response = await fetch(url() + path, {
      method,
      headers: {
        authorization: `Bearer ${await token()}`,
        ...(body === undefined ? {} : { 'content-type': body.type }),
      },
      signal: AbortSignal.timeout(60_000),
      ...(body === undefined ? {} : { body: body.bytes }),
    });
    const text = await response.text();
    const value: unknown = text === '' ? null : JSON.parse(text);
    if (!response.ok) {
      const { error } = Value.Parse(ApiError, value);
      const problems = error.problems?.map((p) => `${p.path} ${p.message}`).join('; ') ?? '';
      throw new ApiRefusal(
        response.status,
        error.code,
        `${method} ${path}: ${error.message} ${problems}`.trim(),
      );
    }
    return Value.Parse(schema, value);
  };
  const json = (body: unknown) => ({ bytes: JSON.stringify(body), type: 'application/json' });
  return {
    get: (path, schema) => call('GET', path, schema),
    post: (path, body, schema) => call('POST', path, schema, json(body)),
    put: (path, body, schema) => call('PUT', path, schema, json(body)),
    upload: (path, bytes, schema) => call('POST', path, schema, { bytes, type: 'application/octet-stream' }),
  };
}

/** Whether the server says that it is well. */
export async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) });
    return response.ok;
  } catch {
    return false;
  }
}
