/** What a failed exchange with ClickHouse says: of the way there, of who asks, or of what was asked. */
import { ClickHouseError } from '@clickhouse/client';
import { TurnpikeError } from '../../kernel/errors.ts';

/**
 * ClickHouse's codes for "not now": 159 timeout, 202 too many queries, 209 socket timeout, 210 network, 241 memory limit,
 * 242 read-only replica, 252 too many parts, 394 cancelled, 999 keeper. An insert may come again; a query that was too
 * heavy will be too heavy again.
 */
const OVERLOADED = new Set(['159', '202', '209', '210', '241', '242', '252', '394', '999']);

/**
 * Its codes for "not you", and "not here": 60 no such table, 81 no such database, 164 read-only, 192 to 194 user and password,
 * 201 quota, 243 no space left, 497 no right, 516 login refused. An operator puts them right; rows can wait for that.
 */
const CLOSED = new Set(['60', '81', '164', '192', '193', '194', '201', '243', '497', '516']);

/** Nobody knows where the server is: it is being started, or its certificates are being replaced. */
export class EndpointUnknown extends Error {
  constructor(cause: unknown) {
    super('the endpoint of the store is not known', { cause });
    this.name = 'EndpointUnknown';
  }
}

/** One side does not take the other's certificate, or does not speak TLS. No second attempt mends that. */
export function isTlsFault(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof ClickHouseError) return false;
  const { code = '' } = error as NodeJS.ErrnoException;
  return /^(ERR_(TLS|SSL)_|EPROTO$|UNABLE_TO_|SELF_SIGNED_|HOSTNAME_MISMATCH$|INVALID_(CA|PURPOSE)$)|(^|_)CERT(_|$)/.test(
    code,
  );
}

/**
 * The server was not reached, or not heard to the end; or something before it, such as a balancer, answered in its place. What
 * is wrong with our own code is none of that.
 */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof ClickHouseError || error instanceof TurnpikeError) return false;
  return ![TypeError, RangeError, SyntaxError, ReferenceError].some((fault) => error instanceof fault);
}

export function isOverloaded(error: unknown): boolean {
  return error instanceof ClickHouseError && OVERLOADED.has(error.code);
}

export function isClosed(error: unknown): boolean {
  return error instanceof ClickHouseError && CLOSED.has(error.code);
}
