import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { AlertSeverity } from '../../src/core/alert.js';
import { logAlerts, type AlertLogger } from '../../src/sinks/log-alerts.js';
import { alertOf } from '../rig/alerts.js';

const never = new AbortController().signal;

function logged() {
  const lines: string[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) });
  return { sink: logAlerts(logger), lines };
}

const broken = (): void => {
  throw new Error('the disk is full');
};

describe('logAlerts', () => {
  it.each([
    ['notice', 30],
    ['warning', 40],
    ['critical', 50],
  ] as const)('writes %s on level %i, in one line', async (severity: AlertSeverity, level) => {
    const { sink, lines } = logged();
    const alert = alertOf({ severity });
    await sink.send(alert, never);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toEqual({ level, alert, msg: 'alert: repeated_failures' });
  });

  it('keeps whatever is in an alert in that line (ALR-06)', async () => {
    const { sink, lines } = logged();
    await sink.send(alertOf({ account: 'a\r\n{"level":60}\u001B[2J', userAgent: '<b>' }), never);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.trimEnd()).toMatch(/^\P{Cc}*$/u);
  });

  it('rejects where the logger throws, so that the alert is tried again', async () => {
    await expect(
      logAlerts({ info: broken, warn: broken, error: broken }).send(alertOf(), never),
    ).rejects.toThrow('the disk is full');
  });

  it.each([undefined, null, {}, { info() {}, warn() {} }, 'log'])('refuses %j', (given) => {
    expect(() => logAlerts(given as unknown as AlertLogger)).toThrow(TypeError);
    expect(() => logAlerts(given as unknown as AlertLogger)).toThrow(
      'logAlerts: logger must be a logger with info, warn and error',
    );
  });
});
