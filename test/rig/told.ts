import { expect } from '@jest/globals';

/** What every event tells of its request. */
export const told = {
  time: expect.any(Number),
  ip: expect.any(String),
  requestId: expect.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
  userAgent: expect.any(String),
};
