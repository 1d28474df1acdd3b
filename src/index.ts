// Middleware, in the order of a request.
export { safeBody, type SafeBodyOptions } from './middleware/safe-body.js';
export { passwordPolicy, type PasswordPolicyMiddlewareOptions } from './middleware/password-policy.js';
export { breachCheck, type BreachCheckMiddlewareOptions } from './middleware/breach-check.js';
export { lockout, type LockoutMiddlewareOptions } from './middleware/lockout.js';
export {
  verifyPassword,
  type Credentials,
  type PasswordVerifier,
  type VerifyPasswordOptions,
} from './middleware/verify-password.js';
export { resumeLogin, type ResumeLoginOptions } from './middleware/resume-login.js';
export { requireSecondFactor, type RequireSecondFactorOptions } from './middleware/require-second-factor.js';
export { issueToken, type IssueTokenOptions, type LoginFacts } from './middleware/issue-token.js';
export { requireToken, type RequireTokenOptions } from './middleware/require-token.js';
export { revokeToken, type RevokeTokenOptions } from './middleware/revoke-token.js';
export { revokeOtherTokens, type RevokeOtherTokensOptions } from './middleware/revoke-other-tokens.js';
export { requireFreshLogin } from './middleware/require-fresh-login.js';
export { requireEnrolment } from './middleware/require-enrolment.js';
export {
  resetSecondFactors,
  type FactorReset,
  type ResetSecondFactorsOptions,
} from './middleware/reset-second-factors.js';
export {
  auditSecondFactors,
  type AuditSecondFactorsOptions,
  type MemberPage,
} from './middleware/audit-second-factors.js';
export { secondFactorRoutes, type SecondFactorRoutesOptions } from './routes/second-factor-routes.js';
export { tokenRoutes } from './routes/token-routes.js';
export { deviceRoutes } from './routes/device-routes.js';
export { robotTokenRoutes, type RobotTokenRoutesOptions } from './routes/robot-token-routes.js';
export { loginLogRoutes, type LoginLogRoutesOptions } from './routes/login-log-routes.js';
export { oauthRoutes, type OAuthRoutesOptions } from './routes/oauth-routes.js';
export { type LogFilter } from './http/log-requests.js';
export { type RobotTokenChange } from './http/robot-tokens.js';

// The options of koa-session.
export { sessionOptions, type KoaSessionSettings, type LoginSessionOptions } from './http/login-session.js';

// For login handlers of the app's own.
export { passwordRefused, passwordVerified } from './http/login.js';
export { refuse, type RefusalExtras } from './http/refuse.js';
export { type RefusalBody, type RefusalCode } from './http/refusals.js';
export { bodyField, type FieldReader } from './http/fields.js';
export { type EnrolmentPolicy } from './http/enrolment-policy.js';
export { type AccountFinder } from './http/find-account.js';
export { type Auth, type AuthContext, type AuthMiddleware, type AuthState } from './http/auth-state.js';
export { type OAuthLogin, type TokenLifetime } from './http/oauth-requests.js';

// The core objects that middleware is made of.
export { Lockout } from './core/lockout.js';
export { type LockoutStanding, type LockoutStatus } from './core/attempt.js';
export { type LockoutOptions } from './core/lockout-options.js';
export { type LockoutLimit } from './core/attempt-limits.js';
export { KnownDevices, type DeviceFacts, type KnownDevicesOptions } from './core/known-devices.js';
export { SecondFactors } from './core/second-factors.js';
export { type SecondFactorsOptions } from './core/second-factor-options.js';
export { type AllowedAuthenticator } from './core/allowed-authenticators.js';
export { type AddedFactor, type FactorAddition, type RefusedFactor } from './core/factor-changes.js';
export { type FreshLoginOptions } from './core/fresh-login.js';
export { type Member, type MemberFactors } from './core/factor-audit.js';
export { type FactorFacts, type FactorStatus } from './core/factor-facts.js';
export { type FactorKey } from './core/key-ring.js';
export { type TotpEnrolment } from './core/totp-factors.js';
export { AccessTokens, type IssuedToken } from './core/access-tokens.js';
export { accessTokenPattern, sessionIdPattern } from './core/token-secret.js';
export { type AccessTokensOptions } from './core/token-options.js';
export { type TokenCacheOptions } from './core/token-cache.js';
export { type RobotGrant, type TokenCarrier, type TokenGrant } from './core/token-grant.js';
export { type ListedToken, type TokenFacts, type VerifiedToken } from './core/token-record.js';
export { type OAuthClient } from './core/oauth-clients.js';
export { PasswordHashes, type PasswordHashesOptions } from './core/password-hashes.js';
export {
  PasswordPolicy,
  type PasswordPolicyOptions,
  type PasswordRule,
  type PolicyDescription,
  type Violation,
} from './core/password-policy.js';
export { BreachCheck, type BreachCheckOptions, type BreachVerdict } from './core/breach-check.js';
export { commonPasswords } from './core/common-passwords.js';
export { hibpApi, type HibpApiOptions } from './core/hibp-api.js';
export { LoginLog } from './core/login-log.js';
export { type LoginLogOptions } from './core/login-log-options.js';
export { type LogEntry, type LogFacts, type LostEntries, type NewLogEntry } from './core/log-entry.js';
export { type LogOutcome } from './core/log-outcome.js';
export { type LogPage, type LogQuery } from './core/log-query.js';
export { type LogBreak } from './core/log-chain.js';
export { type LogVerdict, type LogVerification } from './core/log-verification.js';
export { LoginWatch } from './core/login-watch.js';
export { type LoginWatchOptions, type WatchThreshold, type WatchThresholds } from './core/watch-options.js';
export { type LostAlerts } from './core/watch-losses.js';
export { type Alert, type AlertKind, type AlertSeverity, type AlertSink } from './core/alert.js';
export { canonicalIdentifier } from './core/identifier.js';
export { auditConfig } from './core/config-audit.js';
export { type ConfigAuditOptions } from './core/config-audit-options.js';
export {
  formatAudit,
  type ConfigReport,
  type Finding,
  type Requirement,
  type RequirementState,
} from './core/config-report.js';
export { type FactorStanding } from './core/factor-standing.js';
export { type AuthEvent } from './core/auth-event.js';
export { type Account } from './core/account.js';
export { Busy, StoreUnavailable } from './core/errors.js';

// Where alerts and figures go.
export { emailAlerts, type EmailAlertsOptions, type MailTransport } from './sinks/email-alerts.js';
export { type AlertMail } from './sinks/alert-mail.js';
export { type AlertMessage, type Audience } from './sinks/alert-text.js';
export { webhookAlerts, type WebhookAlertsOptions } from './sinks/webhook-alerts.js';
export { logAlerts, type AlertLogger } from './sinks/log-alerts.js';
export {
  prometheusMetrics,
  type PrometheusMetrics,
  type PrometheusMetricsOptions,
} from './sinks/prometheus-metrics.js';
export { type PrometheusClient, type PrometheusRegister } from './sinks/prometheus-client.js';
export { measuredStore, type StoreObserver } from './core/measured-store.js';
export {
  breachCheckChannel,
  tokenCheckChannel,
  type BreachCheckOutcome,
  type CheckMessage,
  type TokenCheckOutcome,
} from './core/check-channels.js';

// Stores, and the ports that a store of the app's own fills.
export { memoryStore, type MemoryStoreOptions, type Store } from './stores/memory.js';
export { redisStore, type RedisClient, type RedisStore, type RedisStoreOptions } from './stores/redis.js';
export { sqlStore, type SqlStore, type SqlStoreOptions } from './stores/sql.js';
export { sqlMigrations, type SqlDatabase, type SqlMigration } from './stores/sql-migrations.js';
export {
  type AttemptDecision,
  type AttemptStatus,
  type AttemptStore,
  type AttemptSubject,
} from './core/attempt-store.js';
export { attemptStatus, decideAttempt, lockAttempt, type LoadedSubject } from './core/attempt-rule.js';
export {
  noAttempts,
  withoutAttempt,
  withoutFuture,
  type AttemptLimit,
  type Attempts,
} from './core/attempt-window.js';
export {
  type NewToken,
  type StoredToken,
  type TokenStore,
  type TokenUse,
  type TokenWatcher,
} from './core/token-store.js';
export {
  type NewPendingLogin,
  type PendingLoginStore,
  type StoredPendingLogin,
} from './core/pending-store.js';
export { type DocumentStore, type StoredDocument } from './core/document-store.js';
export { type InspectedStore, type StoreFacts } from './core/store-facts.js';
export {
  type LogAppended,
  type LogBatch,
  type LogFound,
  type LogHead,
  type LogKey,
  type LogKeys,
  type LogPart,
  type LogPlace,
  type LogSearch,
  type LogStore,
  type NewStoredEntry,
  type StoredEntry,
} from './core/log-store.js';
export { type SessionStore } from './core/session-store.js';
export { type ChallengeStore, type FactorDocument, type FactorStore } from './core/factor-store.js';
export { type BreachAnswer, type BreachSource } from './core/breach-source.js';
