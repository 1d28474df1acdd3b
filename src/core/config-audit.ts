import { asvsRequirements } from './asvs-requirements.js';
import { readConfigAuditOptions, type ConfigAuditOptions } from './config-audit-options.js';
import { readConfig } from './config-facts.js';
import { factorFindings, lockoutFindings } from './config-findings.js';
import { passwordFindings } from './config-passwords.js';
import { formatAudit, type ConfigReport, type Finding } from './config-report.js';
import { tokenFindings } from './config-sessions.js';
import { storeFindings, surroundingFindings, unseenFindings } from './config-surroundings.js';
import { nistRequirements } from './nist-requirements.js';

/**
 * What the configuration enforces, what is weak about it, and how it stands to NIST SP 800-63B-4 and OWASP ASVS 5.0.
 * Stores are asked now, so nobody need have logged in before. Holds no key, and nothing of an account.
 *
 * @throws {TypeError} on an unknown part, or one of the wrong kind.
 * @throws {StoreUnavailable} when a store does not answer: what cannot be asked is not fine.
 */
export async function auditConfig(options: ConfigAuditOptions): Promise<ConfigReport> {
  const facts = await readConfig(readConfigAuditOptions(options));
  const judged = [
    ...lockoutFindings(facts),
    ...factorFindings(facts),
    ...tokenFindings(facts),
    ...passwordFindings(facts),
    ...storeFindings(facts),
    ...surroundingFindings(facts),
  ];
  const listed = (isOnList: boolean): Finding[] =>
    judged
      .filter(({ isWeak }) => isWeak === isOnList)
      .map(({ part, code, text, remedy }) => ({ part, code, text, remedy }));
  const report = {
    enforced: listed(false),
    weak: listed(true),
    unseen: unseenFindings(facts),
    requirements: [...nistRequirements(facts), ...asvsRequirements(facts)],
  };
  return Object.defineProperty(report, 'toString', { value: () => formatAudit(report) });
}
