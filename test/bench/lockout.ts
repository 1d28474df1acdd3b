/** A wrong guess at a password, with account and address counted in three windows each, on Redis. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { Lockout, type LockoutOptions } from 'koa-portcullis';
import type { RedisServer } from '../rig/redis-server.js';
import { DocumentedLockout } from './documented-lockout.js';
import {
  closeClients,
  connectRedis,
  connectStore,
  countTrips,
  figure,
  inFlight,
  interleave,
  measure,
  ownCpuMicros,
  type Reading,
} from './harness.js';
import type { Figure } from './table.js';

const rounds = 15;
const width = 64;
const attemptsPerRound = 1800;
const lockedAccounts = 100;
const peerName = 'rate-limiter-flexible';

/** Resolves once the guess is counted or refused; `verify` is where the password would be looked at. */
type Guess = (account: string, address: string, verify?: () => Promise<unknown>) => Promise<void>;

export async function lockoutBench(redis: RedisServer): Promise<Figure[]> {
  const admin = connectRedis(redis.url);
  const ours = reserveFirst(redis.url);
  const peer = verifyFirst(redis.url);
  const strictPeer = consumeFirst(redis.url);
  try {
    const failing = await interleave(rounds, {
      ours: () => failingRound(admin, ours),
      peer: () => failingRound(admin, peer),
      strictPeer: () => failingRound(admin, strictPeer),
    });
    const locked = await interleave(rounds, {
      ours: () => lockedRound(admin, ours),
      peer: () => lockedRound(admin, peer),
    });
    const trips = { ours: await tripsOf(redis, reserveFirst), peer: await tripsOf(redis, verifyFirst) };
    const evaluated = { ours: await burst(admin, ours), peer: await burst(admin, peer) };

    const documented = { name: peerName, readings: failing.peer };
    const strict = { name: `${peerName}, consuming first`, readings: failing.strictPeer };
    const counted = (name: string, value: number, peerValue: number, atMost: number): Figure => ({
      name,
      value,
      peer: { name: peerName, value: peerValue },
      goal: { of: 'value', atMost },
    });
    return [
      figure(`attempts/s, ${width} in flight`, 'perSecond', failing.ours, documented, {
        of: 'ratio',
        atLeast: 5,
      }),
      figure(`attempts/s, ${width} in flight`, 'perSecond', failing.ours, strict),
      figure('Redis CPU, us/attempt', 'redisMicros', failing.ours, documented, { of: 'ratio', atMost: 0.25 }),
      figure('Redis CPU, us/attempt', 'redisMicros', failing.ours, strict),
      figure('Node CPU, us/attempt', 'nodeMicros', failing.ours, documented),
      figure('Node CPU, us/attempt', 'nodeMicros', failing.ours, strict),
      figure('Redis CPU when locked, us/attempt', 'redisMicros', locked.ours, {
        name: peerName,
        readings: locked.peer,
      }),
      counted('commands/attempt', trips.ours.commands, trips.peer.commands, 1),
      counted('round trips/attempt', trips.ours.roundTrips, trips.peer.roundTrips, 1),
      ...(await bytesFigures(redis, admin)),
      counted('evaluated of 300 parallel guesses', evaluated.ours, evaluated.peer, 10),
    ];
  } finally {
    closeClients();
  }
}

function reserveFirst(url: string, options: Partial<LockoutOptions> = {}): Guess {
  const attempts = new Lockout({ store: connectStore(url), ...options });
  return async (account, address, verify) => {
    const attempt = await attempts.reserve({ identifier: account, account: undefined, address });
    if (!attempt.granted) return;
    await verify?.();
    await attempt.fail();
  };
}

function verifyFirst(url: string): Guess {
  const limiters = new DocumentedLockout(connectRedis(url));
  return async (account, address, verify) => {
    if (await limiters.isLocked(account, address)) return;
    await verify?.();
    await limiters.consume(account, address);
  };
}

/** Not what the guide shows: as strict under parallel guesses as the peer can be made. */
function consumeFirst(url: string): Guess {
  const limiters = new DocumentedLockout(connectRedis(url));
  return async (account, address, verify) => {
    if (await limiters.consume(account, address)) await verify?.();
  };
}

/** Three failures for each account, nine for each address. */
async function failingRound(admin: Redis, guess: Guess): Promise<Reading> {
  await admin.flushall();
  const accounts = attemptsPerRound / 3;
  const work = () =>
    inFlight(width, attemptsPerRound, (index) =>
      guess(account(index % accounts), address(index % (accounts / 3))),
    );
  return measure(work, ownCpuMicros, admin);
}

async function lockedRound(admin: Redis, guess: Guess): Promise<Reading> {
  await admin.flushall();
  // The peer locks at the first failure beyond the limit.
  await inFlight(width, 11 * lockedAccounts, (index) =>
    guess(account(index % lockedAccounts), address(index)),
  );
  const work = () =>
    inFlight(width, attemptsPerRound / 2, (index) => guess(account(index % lockedAccounts), address(index)));
  return measure(work, ownCpuMicros, admin);
}

async function tripsOf(redis: RedisServer, make: (url: string) => Guess): ReturnType<typeof countTrips> {
  return countTrips(redis.port, async (url) => {
    const guess = make(url);
    return () => guess('carol', address(0));
  });
}

/** 300 guesses at one account, from as many addresses, before the first of them is answered. */
async function burst(admin: Redis, guess: Guess): Promise<number> {
  await admin.flushall();
  let evaluated = 0;
  const verify = (): Promise<unknown> => {
    evaluated += 1;
    return sleep(50);
  };
  await inFlight(300, 300, (index) => guess('carol', address(index), verify));
  return evaluated;
}

async function bytesFigures(redis: RedisServer, admin: Redis): Promise<Figure[]> {
  // The same windows, but wide enough for 40 failures within a minute.
  const limits = [60, 3600, 86_400].map((withinSeconds, index) => ({ failures: 41 + index, withinSeconds }));
  const ours = reserveFirst(redis.url, { limits, addressLimits: false });
  const peer = new DocumentedLockout(connectRedis(redis.url));
  const bytesAfter = async (
    failures: number,
    fail: () => Promise<unknown>,
    keys: string,
  ): Promise<number> => {
    await admin.flushall();
    for (let failed = 0; failed < failures; failed += 1) await fail();
    const sizes = (await admin.keys(keys)).map(async (key) => (await admin.memory('USAGE', key)) ?? 0);
    return (await Promise.all(sizes)).reduce((sum, bytes) => sum + bytes, 0);
  };

  const figures: Figure[] = [];
  for (const failures of [1, 3, 40]) {
    const value = await bytesAfter(failures, () => ours('carol', address(0)), '*');
    const consume = () => peer.consume('carol', address(0));
    figures.push({
      name: `bytes/account after ${failures}`,
      value,
      peer: { name: peerName, value: await bytesAfter(failures, consume, '*_account_*') },
      ...(failures <= 3 && { goal: { of: 'value', atMost: 160 } }),
    });
  }
  return figures;
}

function account(index: number): string {
  return `user-${index}@example.org`;
}

function address(index: number): string {
  return `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
}
