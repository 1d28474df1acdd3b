import { offering, type Rule } from '../core/options.js';

interface MetricConfiguration {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  /** In no register at first: which one is the caller's to say. */
  readonly registers: never[];
}

type Labels = Record<string, string>;

/** What is needed of prom-client: the module itself, or anything with the same four names. */
export interface PrometheusClient {
  readonly Counter: new (configuration: MetricConfiguration) => PrometheusCounter;
  readonly Gauge: new (configuration: MetricConfiguration & { collect(): void }) => PrometheusGauge;
  readonly Histogram: new (configuration: MetricConfiguration & { buckets: number[] }) => PrometheusHistogram;
  readonly register: PrometheusRegister;
}

export interface PrometheusCounter {
  inc(labels: Labels, value: number): void;
}

export interface PrometheusGauge {
  set(labels: Labels, value: number): void;
}

export interface PrometheusHistogram {
  observe(labels: Labels, value: number): void;
}

/** prom-client's `Registry`. */
export interface PrometheusRegister {
  registerMetric(metric: object): void;
}

export const register: Rule = offering('a registry such as new Registry() of prom-client', 'registerMetric');

export function isPrometheusClient(client: unknown): client is PrometheusClient {
  if ((typeof client !== 'object' && typeof client !== 'function') || client === null) return false;
  const names = ['Counter', 'Gauge', 'Histogram'] as const satisfies (keyof PrometheusClient)[];
  const module = client as { readonly [Name in keyof PrometheusClient]?: unknown };
  return names.every((name) => typeof module[name] === 'function') && register.accepts(module.register);
}
