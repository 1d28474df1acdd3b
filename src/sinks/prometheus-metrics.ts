import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { AlertSink } from '../core/alert.js';
import type { AuthEvent } from '../core/auth-event.js';
import { breachCheckChannel, tokenCheckChannel } from '../core/check-channels.js';
import type { StoreObserver } from '../core/measured-store.js';
import { readOptions, type Rule } from '../core/options.js';
import { countEvent, type Count } from './event-counts.js';
import { counters, lost as lostGauge, storeSeconds, type CounterName } from './metric-names.js';
import {
  isPrometheusClient,
  register as registerRule,
  type PrometheusClient,
  type PrometheusCounter,
  type PrometheusGauge,
  type PrometheusRegister,
} from './prometheus-client.js';

export interface PrometheusMetricsOptions {
  /**
   * Begins the name of each metric.
   *
   * @default 'portcullis_'
   */
  readonly prefix?: string;
  /**
   * Where the metrics are registered.
   *
   * @default client.register
   */
  readonly register?: PrometheusRegister;
  /**
   * Drop counters, each by a name: asked at each scrape, and told as the gauge `lost`.
   *
   * @default {}
   */
  readonly lost?: Readonly<Record<string, () => number>>;
}

/** Counts for Prometheus; also an alert sink, which counts alerts. */
export interface PrometheusMetrics extends AlertSink {
  /** For `app.on('auth', metrics.observe)`. */
  readonly observe: (event: AuthEvent) => void;
  /** For `measuredStore(store, metrics.observeStore)`. */
  readonly observeStore: StoreObserver;
  /** Counts token and breach checks no more. What was counted stays in the register. */
  readonly close: () => void;
}

const counted: Rule = {
  demand: 'an object of functions by names of lower-case letters, digits and "_"',
  accepts: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(
      ([name, read]) => /^[a-z][a-z0-9_]{0,31}$/.test(name) && typeof read === 'function',
    ),
};

const rules = {
  prefix: {
    demand: 'up to 32 letters, digits and "_" that begin with no digit',
    accepts: (value) => typeof value === 'string' && /^(?!\d)\w{0,32}$/.test(value),
  },
  register: registerRule,
  lost: counted,
} satisfies { [K in keyof PrometheusMetricsOptions]-?: Rule };

/** A store has about forty operations. */
const mostOperations = 100;

/**
 * Counts for Prometheus by prom-client. No label holds an account, an address or any text of a request, so the number of
 * series has a bound under any traffic.
 *
 * @param client - prom-client: `import * as client from 'prom-client'`.
 * @throws {TypeError} on an unknown option or a wrong value.
 */
export function prometheusMetrics(
  client: PrometheusClient,
  options: PrometheusMetricsOptions = {},
): PrometheusMetrics {
  if (!isPrometheusClient(client)) {
    throw new TypeError(
      "prometheusMetrics: client must be the module prom-client: import * as client from 'prom-client'",
    );
  }
  const {
    prefix = 'portcullis_',
    register = client.register,
    lost = {},
  } = readOptions<PrometheusMetricsOptions>('prometheusMetrics', options, rules);
  const describe = ({
    name,
    help,
    labelNames,
  }: {
    name: string;
    help: string;
    labelNames: readonly string[];
  }) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...labelNames],
    registers: [],
  });
  const made = new Map<CounterName, PrometheusCounter>();
  for (const name of Object.keys(counters) as CounterName[]) {
    const { help, labels } = counters[name];
    const counter = new client.Counter(describe({ name, help, labelNames: Object.keys(labels) }));
    register.registerMetric(counter);
    made.set(name, counter);
    // From the start, with 0: what appears with its first count is no increase to Prometheus.
    for (const one of combinationsOf(labels)) counter.inc(one, 0);
  }
  const histogram = new client.Histogram({ ...describe(storeSeconds), buckets: storeSeconds.buckets });
  register.registerMetric(histogram);
  const counts = Object.entries(lost);
  const gauge = new client.Gauge({
    ...describe(lostGauge),
    collect: () => {
      for (const [what, read] of counts) setCount(gauge, what, read);
    },
  });
  register.registerMetric(gauge);

  const count: Count = (name, labels = {}, by = 1) => made.get(name)?.inc(closed(name, labels), by);
  const countTokenCheck = (message: unknown): void => count('token_checks_total', outcomeIn(message));
  const countBreachCheck = (message: unknown): void => count('breach_checks_total', outcomeIn(message));
  subscribe(tokenCheckChannel, countTokenCheck);
  subscribe(breachCheckChannel, countBreachCheck);
  const operations = new Set<string>();

  return {
    name: 'prometheus',
    observe: (event) => countEvent(event, count),
    async send({ kind, severity }) {
      count('alerts_total', { kind, severity });
    },
    observeStore(operation, seconds, outcome) {
      if (operations.size < mostOperations) operations.add(operation);
      histogram.observe({ operation: operations.has(operation) ? operation : 'other', outcome }, seconds);
    },
    close() {
      unsubscribe(tokenCheckChannel, countTokenCheck);
      unsubscribe(breachCheckChannel, countBreachCheck);
    },
  };
}

/** One counter that fails must not keep all other figures from being scraped. */
function setCount(gauge: PrometheusGauge, what: string, read: () => number): void {
  try {
    const count = read();
    if (Number.isFinite(count)) gauge.set({ what }, count);
  } catch {
    // It is missing then, which Prometheus can be asked for.
  }
}

/** The labels with values that the counter has: any other is its last. */
function closed(name: CounterName, given: Readonly<Record<string, string>>): Record<string, string> {
  const labels: Readonly<Record<string, readonly string[]>> = counters[name].labels;
  return Object.fromEntries(
    Object.entries(labels).map(([label, values]) => {
      const value = given[label] ?? '';
      return [label, values.includes(value) ? value : (values.at(-1) ?? '')];
    }),
  );
}

function combinationsOf(labels: Readonly<Record<string, readonly string[]>>): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (found, [label, values]) => found.flatMap((one) => values.map((value) => ({ ...one, [label]: value }))),
    [{}],
  );
}

function outcomeIn(message: unknown): { outcome: string } {
  const outcome =
    typeof message === 'object' && message !== null && 'outcome' in message ? message.outcome : '';
  return { outcome: String(outcome) };
}
