import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as client from 'prom-client';
import { parse } from 'yaml';
import { counters, lost, storeSeconds } from '../src/sinks/metric-names.js';
import { prometheusMetrics } from '../src/sinks/prometheus-metrics.js';

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

const dashboard = JSON.parse(readFileSync('examples/grafana/portcullis-dashboard.json', 'utf8')) as {
  readonly panels: readonly Panel[];
};
const file = parse(readFileSync('examples/grafana/portcullis-alerts.yml', 'utf8'), { strict: true }) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly AlertRule[] }[];
};
const rules = file.groups.flatMap((group) => group.rules);
const expressions = [
  ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
];

/** Names of labels, and their values where they are a closed list, by the metrics as they are scraped. */
const labelsOf = new Map<string, ReadonlyMap<string, readonly string[] | undefined>>();

const registered: string[] = [];

beforeAll(async () => {
  const register = new client.Registry();
  const metrics = prometheusMetrics(client, { register });
  metrics.close();
  registered.push(...(await register.getMetricsAsJSON()).map(({ name }) => name));
  for (const [name, { labels }] of Object.entries(counters))
    labelsOf.set(`portcullis_${name}`, new Map(Object.entries(labels)));
  labelsOf.set(`portcullis_${lost.name}`, new Map([['what', undefined]]));
  labelsOf.set(
    `portcullis_${storeSeconds.name}`,
    new Map([
      ['operation', undefined],
      ['outcome', ['ok', 'failed']],
    ]),
  );
});

function seriesIn(expr: string): [metric: string, matchers: string][] {
  return [...expr.matchAll(/\b(portcullis_\w+)(?:\{([^}]*)\})?/g)].map(([, metric = '', matchers = '']) => [
    metric.replace(/^(portcullis_store_seconds)_(?:bucket|count|sum)$/, '$1'),
    matchers,
  ]);
}

describe.each(expressions)('%s', (_title, expr) => {
  it(`asks for metrics and labels that there are: ${expr.replaceAll(/\s+/g, ' ')}`, () => {
    const series = seriesIn(expr);
    expect(series).not.toEqual([]);
    for (const [metric, matchers] of series) {
      expect([...labelsOf.keys()]).toContain(metric);
      for (const matcher of matchers === '' ? [] : matchers.split(',')) {
        const [, label = '', pattern = ''] = /^(\w+)=~?"([^"]*)"$/.exec(matcher.trim()) ?? [];
        expect([...(labelsOf.get(metric)?.keys() ?? [])]).toContain(label);
        for (const value of pattern.split('|')) expect(labelsOf.get(metric)?.get(label)).toContain(value);
      }
    }
  });

  it('groups by labels that its metrics have, and closes what it opens', () => {
    const metric = seriesIn(expr)[0]?.[0] ?? '';
    const known = [...(labelsOf.get(metric)?.keys() ?? []), 'le'];
    for (const [, list = ''] of expr.matchAll(/\bby \(([^)]*)\)/g))
      for (const label of list.split(',')) expect(known).toContain(label.trim());
    for (const [open, close] of ['()', '[]', '{}'] as const)
      expect(expr.split(open ?? '')).toHaveLength(expr.split(close ?? '').length);
  });
});

describe('the dashboard', () => {
  it('is compared with what is scraped', () => {
    expect([...labelsOf.keys()].toSorted()).toEqual(registered.toSorted());
  });

  it('shows every metric', () => {
    const shown = new Set(
      dashboard.panels.flatMap(({ targets }) =>
        targets.flatMap(({ expr }) => seriesIn(expr).map(([metric]) => metric)),
      ),
    );
    expect([...shown].toSorted()).toEqual([...labelsOf.keys()].toSorted());
  });

  it('has legends of labels that the expressions keep, and no panel over another', () => {
    for (const { targets } of dashboard.panels) {
      for (const { expr, legendFormat } of targets)
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(expr).toMatch(new RegExp(`by \\([^)]*\\b${label}\\b`));
    }
    const places = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(places).size).toBe(places.length);
    expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('the alert rules', () => {
  it('have names of their own, a severity, and say what is wrong', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    expect(rules.length).toBeGreaterThan(5);
    for (const rule of rules) {
      expect(Object.keys(rule)).toEqual(expect.arrayContaining(['alert', 'expr', 'labels', 'annotations']));
      expect(rule.alert).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(rule.for ?? '1m').toMatch(/^\d+m$/);
      expect(['warning', 'critical']).toContain(rule.labels.severity);
      expect(rule.annotations).toEqual({
        summary: expect.stringMatching(/\.$/),
        description: expect.stringMatching(/\.$/),
      });
      for (const [, label = ''] of JSON.stringify(rule.annotations).matchAll(/\$labels\.(\w+)/g))
        expect(rule.expr).toContain(`by (${label})`);
    }
  });
});
