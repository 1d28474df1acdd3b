import { own } from '../core/store-call.js';
import type { AuthContext } from './auth-state.js';

const mostPerPage = 200;
const usualPerPage = 100;

/** Which part of a list is asked for. */
export interface ListPage {
  readonly cursor: string | undefined;
  readonly limit: number;
}

/** `?cursor=` and `?limit=`; null where they are malformed. */
export function readPage(ctx: AuthContext): ListPage | null {
  const [cursor, limit = String(usualPerPage)] = [own(ctx.query, 'cursor'), own(ctx.query, 'limit')];
  if (cursor !== undefined && typeof cursor !== 'string') return null;
  if (typeof limit !== 'string' || !/^[1-9][0-9]{0,2}$/.test(limit)) return null;
  return Number(limit) > mostPerPage ? null : { cursor, limit: Number(limit) };
}

/** By `?format=` or else by the Accept header; null for another format. */
export function readFormat(ctx: AuthContext): 'json' | 'csv' | null {
  const format = own(ctx.query, 'format');
  if (format === undefined) return ctx.accepts('json', 'text/csv') === 'text/csv' ? 'csv' : 'json';
  return format === 'csv' || format === 'json' ? format : null;
}

/** The query of the next page of a CSV, with what else the list was asked by. */
export function nextPage(
  limit: number,
  cursor: string,
  filter: Readonly<Record<string, string>> = {},
): string {
  const asked = Object.entries({ format: 'csv', limit: String(limit), cursor, ...filter });
  return `?${asked.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')}`;
}

/** Answers with a file; where its next page is, a header says (RFC 8288), since CSV has no place for it. */
export function answerCsv(ctx: AuthContext, fileName: string, text: string, next: string | null): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.type = 'text/csv; charset=utf-8';
  ctx.attachment(fileName);
  if (next !== null) ctx.set('Link', `<${next}>; rel="next"`);
  ctx.body = text;
}
