/**
 * The nonce cookie (RFC 8489 §9.2): "obMatJos2" and the base64 of 24 bits that say which security features the server offers, in
 * front of each nonce. A client that finds a bit set and the attribute missing knows that somebody on the path took it out.
 *
 * Bit 0 is the least significant bit of the third octet. The RFC's prose has it the other way round; verified erratum 6290 and the
 * test vector of appendix B.1 have it so.
 */
const MARK = 'obMatJos2';
const FEATURES_LENGTH = 4;
export const COOKIE_LENGTH = MARK.length + FEATURES_LENGTH;

/** The IANA registry "STUN Security Features" (§18.1): the bit of each. */
export const securityFeatures = {
  PASSWORD_ALGORITHMS: { bit: 0, rfc: 'RFC8489' },
  USERNAME_ANONYMITY: { bit: 1, rfc: 'RFC8489' },
} as const;
export type SecurityFeature = keyof typeof securityFeatures;

/** 13 characters. */
export function nonceCookie(features: readonly SecurityFeature[]): string {
  const octets = Buffer.alloc(3);
  octets.writeUIntBE(
    features.reduce((bits, feature) => bits | (1 << securityFeatures[feature].bit), 0),
    0,
    3,
  );
  return MARK + octets.toString('base64');
}

/** Whether a nonce begins with a cookie that offers the feature. */
export function nonceOffers(nonce: string, feature: SecurityFeature): boolean {
  if (!nonce.startsWith(MARK) || nonce.length < COOKIE_LENGTH) return false;
  const octets = Buffer.from(nonce.slice(MARK.length, COOKIE_LENGTH), 'base64');
  return octets.length === 3 && (octets.readUIntBE(0, 3) & (1 << securityFeatures[feature].bit)) !== 0;
}
