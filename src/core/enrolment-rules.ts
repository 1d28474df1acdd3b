import { addingRules } from './factor-changes.js';
import { factorName } from './factor-name.js';
import { required, text } from './options.js';

/** What `beginTotp` takes. */
export const beginTotpRules = { label: required(text), name: factorName, replaces: text };

/** What `importTotp` takes. */
export const importTotpRules = { secret: { ...required(text), secret: true }, name: factorName };

/** What `confirmSecurityKey` takes. */
export const confirmKeyRules = { name: factorName, ...addingRules };
