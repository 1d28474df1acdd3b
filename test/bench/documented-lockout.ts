import type { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';

/**
 * Login protection as the guide of rate-limiter-flexible has it: read all limiters, verify, consume a point of each
 * on failure. The windows and limits are our defaults.
 */
export class DocumentedLockout {
  readonly #accounts: readonly RateLimiterRedis[];
  readonly #addresses: readonly RateLimiterRedis[];

  constructor(redis: Redis) {
    const limiters = (subject: string, points: readonly number[]): RateLimiterRedis[] =>
      [60, 3600, 86_400].map(
        (duration, index) =>
          new RateLimiterRedis({
            storeClient: redis,
            keyPrefix: `login_fail_${subject}_${duration}`,
            points: points[index] ?? 0,
            duration,
            blockDuration: duration,
          }),
      );
    this.#accounts = limiters('account', [10, 20, 40]);
    this.#addresses = limiters('address', [100, 300, 1000]);
  }

  async isLocked(account: string, address: string): Promise<boolean> {
    const states = await this.#all(account, address, async (limiter, key) => {
      const state = await limiter.get(key);
      return state !== null && state.consumedPoints > limiter.points;
    });
    return states.includes(true);
  }

  /** Answers whether no limit was passed by this point. */
  async consume(account: string, address: string): Promise<boolean> {
    const states = await this.#all(account, address, (limiter, key) =>
      limiter.consume(key).then(
        () => true,
        (refusal: unknown) => {
          if (refusal instanceof Error) throw refusal;
          return false;
        },
      ),
    );
    return !states.includes(false);
  }

  #all(
    account: string,
    address: string,
    step: (limiter: RateLimiterRedis, key: string) => Promise<boolean>,
  ): Promise<boolean[]> {
    return Promise.all([
      ...this.#accounts.map((limiter) => step(limiter, account)),
      ...this.#addresses.map((limiter) => step(limiter, address)),
    ]);
  }
}
