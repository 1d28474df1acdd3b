import { auditConfig } from '../core/config-audit.js';
import { isConfigPart, type ConfigAuditOptions } from '../core/config-audit-options.js';
import type { Asked, Command, Outcome } from './command.js';
import { Failure } from './failure.js';

/** What the configuration enforces, and what is weak about it. */
export const audit: Command = {
  summary: 'what is enforced, what is weak, and which requirements of NIST and OWASP are met',
  usage: '',
  flags: [],
  name: 'none',
  async run({ config }: Asked): Promise<Outcome> {
    const given = Object.entries(config.exported).filter(
      ([name, value]) => isConfigPart(name) && value !== null,
    );
    try {
      const report = await auditConfig(Object.fromEntries(given) as ConfigAuditOptions);
      return { lines: String(report).split('\n'), value: report };
    } catch (error) {
      if (error instanceof TypeError) throw new Failure(error.message);
      throw error;
    }
  },
};
