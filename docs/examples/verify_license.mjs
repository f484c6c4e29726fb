// Verifies license files without a connection: docs/licensing.md. Node 18 or later, nothing else.
//
//     node verify_license.mjs LICENSE_FILE KEYS.json FINGERPRINT [LATEST]
//
// KEYS.json is what GET /api/v1/licenses/keys answers; a product has it built in. LATEST is the latest time that the product has ever
// seen, in seconds since 1970. Prints the content of a good file, or the reason of a bad one and exits with 1.

import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const BEGIN = '-----BEGIN LICENSE FILE-----';
const END = '-----END LICENSE FILE-----';
const PRODUCT = 'base_product';
// Clocks differ by so much and are still taken for right, in seconds.
const TOLERANCE = 24 * 3600;
// No file is larger, in characters.
const LARGEST = 64 * 1024;

/** Why a file is not good: `message` is the reason, a word. */
export class Refused extends Error {}

/** The content of a good file. `latest` is the latest time that was ever seen; keep the later of it and `now` afterwards. */
export function verify(text, keys, fingerprint, now, latest = 0) {
  if (text.length > LARGEST) throw new Refused('malformed');
  const lines = text.trim().split('\n').map((line) => line.trim());
  if (lines.length < 3 || lines[0] !== BEGIN || lines.at(-1) !== END) throw new Refused('malformed');
  let envelope, signature;
  try {
    envelope = JSON.parse(decode(lines.slice(1, -1).join('')).toString('utf8'));
    if (!['alg', 'enc', 'kid', 'sig'].every((name) => typeof envelope[name] === 'string')) throw new Error();
    signature = decode(envelope.sig);
  } catch {
    throw new Refused('malformed');
  }
  // Only this one, whatever the file says: it must not choose how it is verified.
  if (envelope.alg !== 'base64+ed25519') throw new Refused('unknown_algorithm');
  const key = keys.keys.find((key) => key.kid === envelope.kid);
  if (!key) throw new Refused('unknown_key');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key.x }, format: 'jwk' });
  if (!verifySignature(null, Buffer.from(`license/${envelope.enc}`), publicKey, signature)) {
    throw new Refused('invalid_signature');
  }
  // From here on it is what the vendor has written.
  const content = JSON.parse(decode(envelope.enc).toString('utf8'));
  if (content.version !== 1) throw new Refused('unknown_version');
  if (content.license.productType !== PRODUCT) throw new Refused('other_product');
  if (content.activation.fingerprint !== fingerprint) throw new Refused('other_machine');
  const issued = content.exp - content.meta.ttl;
  if (now < Math.max(issued, latest) - TOLERANCE) throw new Refused('clock_turned_back');
  if (Math.max(now, latest) >= content.exp) throw new Refused('expired');
  return content;
}

/** Base64 with nothing else in it: Buffer leaves out what it does not know. */
function decode(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) throw new Error('no base64');
  return Buffer.from(text, 'base64');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [path, keyPath, fingerprint, latest] = process.argv.slice(2);
  const keys = JSON.parse(readFileSync(keyPath, 'utf8'));
  try {
    const text = readFileSync(path, 'utf8');
    console.log(JSON.stringify(verify(text, keys, fingerprint, Date.now() / 1000, Number(latest ?? 0))));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
