/**
 * The IANA registry "Session Traversal Utilities for NAT (STUN) Parameters" as far as RFCs fill it, written from the RFCs'
 * own IANA Considerations (RFC 8489 §18, RFC 8656 §23 and those named). First column the value in hex or decimal,
 * then the registered name, then the RFC.
 */
export const registeredMethods = `
0x001 Binding RFC8489
0x003 Allocate RFC8656
0x004 Refresh RFC8656
0x006 Send RFC8656
0x007 Data RFC8656
0x008 CreatePermission RFC8656
0x009 ChannelBind RFC8656
0x00A Connect RFC6062
0x00B ConnectionBind RFC6062
0x00C ConnectionAttempt RFC6062`;

export const registeredAttributes = `
0x0001 MAPPED-ADDRESS RFC8489
0x0003 CHANGE-REQUEST RFC5780
0x0006 USERNAME RFC8489
0x0008 MESSAGE-INTEGRITY RFC8489
0x0009 ERROR-CODE RFC8489
0x000A UNKNOWN-ATTRIBUTES RFC8489
0x000C CHANNEL-NUMBER RFC8656
0x000D LIFETIME RFC8656
0x0012 XOR-PEER-ADDRESS RFC8656
0x0013 DATA RFC8656
0x0014 REALM RFC8489
0x0015 NONCE RFC8489
0x0016 XOR-RELAYED-ADDRESS RFC8656
0x0017 REQUESTED-ADDRESS-FAMILY RFC8656
0x0018 EVEN-PORT RFC8656
0x0019 REQUESTED-TRANSPORT RFC8656
0x001A DONT-FRAGMENT RFC8656
0x001B ACCESS-TOKEN RFC7635
0x001C MESSAGE-INTEGRITY-SHA256 RFC8489
0x001D PASSWORD-ALGORITHM RFC8489
0x001E USERHASH RFC8489
0x0020 XOR-MAPPED-ADDRESS RFC8489
0x0022 RESERVATION-TOKEN RFC8656
0x0024 PRIORITY RFC8445
0x0025 USE-CANDIDATE RFC8445
0x0026 PADDING RFC5780
0x0027 RESPONSE-PORT RFC5780
0x002A CONNECTION-ID RFC6062
0x8000 ADDITIONAL-ADDRESS-FAMILY RFC8656
0x8001 ADDRESS-ERROR-CODE RFC8656
0x8002 PASSWORD-ALGORITHMS RFC8489
0x8003 ALTERNATE-DOMAIN RFC8489
0x8004 ICMP RFC8656
0x8022 SOFTWARE RFC8489
0x8023 ALTERNATE-SERVER RFC8489
0x8025 TRANSACTION_TRANSMIT_COUNTER RFC7982
0x8027 CACHE-TIMEOUT RFC5780
0x8028 FINGERPRINT RFC8489
0x8029 ICE-CONTROLLED RFC8445
0x802A ICE-CONTROLLING RFC8445
0x802B RESPONSE-ORIGIN RFC5780
0x802C OTHER-ADDRESS RFC5780
0x802D ECN-CHECK RFC6679
0x802E THIRD-PARTY-AUTHORIZATION RFC7635
0x8030 MOBILITY-TICKET RFC8016`;

export const registeredErrorCodes = `
300 Try Alternate RFC8489
400 Bad Request RFC8489
401 Unauthenticated RFC8489
403 Forbidden RFC8656
405 Mobility Forbidden RFC8016
420 Unknown Attribute RFC8489
437 Allocation Mismatch RFC8656
438 Stale Nonce RFC8489
440 Address Family not Supported RFC8656
441 Wrong Credentials RFC8656
442 Unsupported Transport Protocol RFC8656
443 Peer Address Family Mismatch RFC8656
446 Connection Already Exists RFC6062
447 Connection Timeout or Failure RFC6062
486 Allocation Quota Reached RFC8656
487 Role Conflict RFC8445
500 Server Error RFC8489
508 Insufficient Capacity RFC8656`;

/** "STUN Password Algorithms" (RFC 8489 §18.5), without the reserved 0. */
export const registeredPasswordAlgorithms = `
0x0001 MD5 RFC8489
0x0002 SHA-256 RFC8489`;

/** "STUN Security Features" (RFC 8489 §18.1): the bit's number, 0 being the least significant (verified erratum 6290). */
export const registeredSecurityFeatures = `
0 Password algorithms RFC8489
1 Username anonymity RFC8489`;

export interface Registered {
  readonly value: number;
  readonly name: string;
  readonly rfc: string;
}

export function registry(table: string): Registered[] {
  return table
    .trim()
    .split('\n')
    .map((line) => {
      const [value = '', ...rest] = line.split(' ');
      const rfc = rest.pop() ?? '';
      return { value: Number(value), name: rest.join(' '), rfc };
    });
}
