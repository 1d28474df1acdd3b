import { callback, describe, integer, readOptions } from '../core/options.js';
import type { AuthContext, AuthMiddleware } from '../http/auth-state.js';
import { statusOf } from '../http/error-status.js';
import { refuse } from '../http/refuse.js';

export interface SafeBodyOptions {
  /**
   * Most fields of a body.
   *
   * @default 1000
   */
  readonly maxFields?: number;
}

/**
 * Wraps the app's body parser, so that a body that cannot be read is refused like any other bad input. Parsers
 * put the text that they could not read, passwords included, on the error that they throw: it ends here.
 *
 * @param parser - A Koa body parser, such as `bodyParser()` of @koa/bodyparser.
 */
export function safeBody(parser: AuthMiddleware, options: SafeBodyOptions = {}): AuthMiddleware {
  if (!callback.accepts(parser)) {
    throw new TypeError(`safeBody: the first argument must be a body parser, not ${describe(parser)}`);
  }
  const { maxFields = 1000 } = readOptions<SafeBodyOptions>('safeBody', options, {
    maxFields: integer(1, 1_000_000),
  });

  return async function safeBody(ctx, next) {
    // The parser runs alone, so that no error of a later middleware is taken for one of the body.
    let isRead = false;
    const unreadable = await statusOfFailure(ctx, async () =>
      parser(ctx, async () => {
        isRead = true;
      }),
    );
    if (unreadable === 413) return refuse(ctx, 'content_too_large');
    if (unreadable === 415) return refuse(ctx, 'unsupported_media_type');
    if (unreadable !== undefined || countFields(ctx) > maxFields) return refuse(ctx, 'invalid_request');
    // A parser that did not go on has answered the request itself.
    return isRead ? next() : undefined;
  };
}

/** The status that the parser failed with; undefined where it did not fail. */
async function statusOfFailure(ctx: AuthContext, parse: () => Promise<unknown>): Promise<number | undefined> {
  try {
    await parse();
    return undefined;
  } catch (error) {
    const status = statusOf(error);
    if (status !== undefined && status < 500) return status;
    if (isBadCompression(error)) return 400;
    // Perhaps a fault of the parser: told by its kind alone, as its text may hold the body.
    const kind = error instanceof Error ? error.name : typeof error;
    ctx.app.emit('error', new Error(`koa-portcullis: the body parser failed with ${kind}`), ctx);
    return 400;
  }
}

/** zlib has a code of its own for each way in which a body is no gzip. */
function isBadCompression(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' && code.startsWith('Z_');
}

function countFields(ctx: AuthContext): number {
  const { body } = ctx.request as { body?: unknown };
  return typeof body === 'object' && body !== null ? Object.keys(body).length : 0;
}
