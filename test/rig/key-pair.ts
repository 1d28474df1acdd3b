import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/**
 * A new pair of keys. They are read from their encoding, so that they share nothing with the job that made them: Node 20
 * locks up for good where that is collected as garbage while one of its keys is being exported.
 */
export function makeKeyPair(
  ...of:
    | [type: 'ec', options: { readonly namedCurve: string }]
    | [type: 'rsa', options: { readonly modulusLength: number }]
    | [type: 'ed25519']
): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  const [type, options = {}] = of;
  const { publicKey, privateKey } = generateKeyPairSync(type as 'rsa', {
    ...(options as { modulusLength: number }),
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  return {
    publicKey: createPublicKey({ key: publicKey, type: 'spki', format: 'der' }),
    privateKey: createPrivateKey({ key: privateKey, type: 'pkcs8', format: 'der' }),
  };
}
