import type { AuthContext } from './auth-state.js';

/** Reads one field of a request. Answers what is there, of any type; undefined where nothing is. */
export type FieldReader = (ctx: AuthContext) => unknown;

/** A part of the path, by the name that the route gives it. It is decoded and nothing else. */
export function pathField(ctx: AuthContext, name: string): string {
  const { params } = ctx as { params?: Readonly<Record<string, string>> };
  return String(params?.[name]);
}

/**
 * A reader of one own property of the parsed body. JSON and form parsers give arrays, objects and
 * `__proto__`: only the property itself counts, and the caller still checks that it is a string.
 *
 * @throws {Error} where no body parser ran: that is a fault of the app, not of the client.
 */
export function bodyField(name: string): FieldReader {
  return (ctx) => {
    const { body } = ctx.request as { body?: unknown };
    if (body === undefined && ['POST', 'PUT', 'PATCH'].includes(ctx.method)) {
      throw new Error('koa-portcullis: ctx.request.body is undefined; mount a body parser before this route');
    }
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
    return Object.hasOwn(body, name) ? (body as Record<string, unknown>)[name] : undefined;
  };
}
