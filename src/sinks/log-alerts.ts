import type { AlertSeverity, AlertSink } from '../core/alert.js';
import { offering } from '../core/options.js';

/** A logger in the manner of pino: an object first, then a message. */
export interface AlertLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const levels: Readonly<Record<AlertSeverity, keyof AlertLogger>> = {
  notice: 'info',
  warning: 'warn',
  critical: 'error',
};

/**
 * Writes each alert to the app's log, in one line where the logger writes lines: `notice` as info, `warning` as warn,
 * `critical` as error. The alert is under `alert`; the message is fixed words.
 *
 * @throws {TypeError} for what is no logger.
 */
export function logAlerts(logger: AlertLogger): AlertSink {
  if (!offering('', 'info', 'warn', 'error').accepts(logger)) {
    throw new TypeError('logAlerts: logger must be a logger with info, warn and error, such as pino()');
  }
  return {
    name: 'log',
    async send(alert) {
      logger[levels[alert.severity]]({ alert }, `alert: ${alert.kind}`);
    },
  };
}
