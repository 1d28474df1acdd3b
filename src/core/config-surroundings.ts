import { enforced, weak, type Judged } from './config-findings.js';
import type { ConfigFacts } from './config-facts.js';
import { spanOf } from './time-span.js';
import type { Finding } from './config-report.js';

export function storeFindings({ stores }: ConfigFacts): Judged[] {
  return stores.flatMap(({ kind, holds, isShared, isDurable, weaknesses }) => {
    const what = holds.join(', ');
    const part = 'store';
    const found = weaknesses.map((weakness) =>
      weak(
        part,
        kind === 'memory' ? 'store_in_memory' : 'store_weak',
        `Of ${what}: ${weakness}.`,
        remedyOf(kind),
      ),
    );
    if (kind === 'memory') return found;
    return [
      ...found,
      isDurable === true
        ? enforced(part, 'store_durable', `${what}: kept by ${kind}, over a restart.`)
        : weak(
            part,
            isDurable === null ? 'store_durability_unknown' : 'store_not_durable',
            `${what}: ${kind} ${isDurable === null ? 'does not say whether it keeps' : 'does not keep'} them over a restart.`,
            kind === 'redis' ? 'appendonly yes' : null,
          ),
      ...(isShared
        ? []
        : [weak(part, 'store_not_shared', `${what}: ${kind} is for one process.`, 'PostgreSQL or Redis')]),
    ];
  });
}

function remedyOf(kind: string): string {
  return kind === 'memory' ? 'redisStore(redis) or sqlStore(kysely)' : 'maxmemory-policy noeviction';
}

/** What stands around the login: proxies, keys, and whether anybody would see an attack. */
export function surroundingFindings({ app, log, watch }: ConfigFacts): Judged[] {
  return [...appFindings(app), logFinding(log), watchFinding(watch)];
}

function logFinding(log: ConfigFacts['log']): Judged {
  const part = 'log';
  const missing = 'Nobody can look up who logged in, or why a login was refused.';
  if (log === null) return weak(part, 'log_missing', missing, 'new LoginLog({ store })');
  if (log.isHeard === false)
    return weak(part, 'log_unheard', `No event comes to the log. ${missing}`, "app.on('auth', log.record)");
  const text = `What the log is told of logins and changes of security is in it for ${spanOf(log.retentionSeconds)}.`;
  return enforced(part, 'log', text);
}

function watchFinding(watch: ConfigFacts['watch']): Judged {
  const part = 'watch';
  const missing = 'Nobody is told of what may be an account takeover.';
  if (watch === null) return weak(part, 'watch_missing', missing, 'new LoginWatch({ store, sinks })');
  if (watch.isHeard === false)
    return weak(
      part,
      'watch_unheard',
      `No event comes to the watch. ${missing}`,
      "app.on('auth', watch.observe)",
    );
  return enforced(part, 'watch', 'What looks like an account takeover to the watch raises an alert.');
}

function appFindings(app: ConfigFacts['app']): Judged[] {
  if (app === null) return [];
  const { proxy, proxies, shortestKey } = app;
  return [
    proxy && !(proxies > 0)
      ? weak(
          'app',
          'proxy_unbounded',
          'Any client can write its address: app.proxy is set and app.maxIpsCount is not.',
          'app.maxIpsCount: the number of your proxies',
        )
      : enforced(
          'app',
          'addresses',
          proxy ? `Addresses come over ${proxies} known proxies.` : 'Addresses are those of the socket.',
        ),
    ...(shortestKey !== null && shortestKey < 32
      ? [
          weak(
            'app',
            'app_keys_short',
            'A key in app.keys has fewer than 32 bytes: cookies that it signs can be forged.',
            '32 random bytes',
          ),
        ]
      : []),
  ];
}

const unseen = (part: string, code: string, text: string): Finding => ({ part, code, text, remedy: null });

/** What objects keep to themselves, or do not decide. */
export function unseenFindings({ app, breach, stores, log, watch }: ConfigFacts): Finding[] {
  return [
    unseen(
      'middleware',
      'dangerous_options',
      'Whether issueToken has dangerouslyWithoutLockout or dangerouslyWithoutSecondFactor.',
    ),
    unseen(
      'middleware',
      'doors',
      'Whether every route that takes a password has lockout before it, with one Lockout.',
    ),
    unseen(
      'middleware',
      'idle_tokens',
      'Whether tokens end when they are not used: idleSeconds of issueToken.',
    ),
    ...(breach?.whenUnavailable === null
      ? [
          unseen(
            'breach check',
            'breach_check_option',
            'What breachCheck does where no source answers: whenUnavailable.',
          ),
        ]
      : []),
    ...(app === null ? [unseen('app', 'app_missing', 'Whether addresses can be forged: give app.')] : []),
    ...(log?.isHeard === null
      ? [unseen('log', 'log_listener', "Whether events come to the log: app.on('auth', log.record).")]
      : []),
    ...(watch?.isHeard === null
      ? [
          unseen(
            'watch',
            'watch_listener',
            "Whether events come to the watch: app.on('auth', watch.observe).",
          ),
        ]
      : []),
    ...(stores.length > 1
      ? [
          unseen(
            'store',
            'stores_apart',
            'Whether pending logins and tokens share a store, so that "revoke all" ends both.',
          ),
        ]
      : []),
  ];
}
