/** Every STUN error code that an RFC defines: number, the registry's reason phrase, RFC. */
export const errorCodes = {
  TRY_ALTERNATE: { code: 300, reason: 'Try Alternate', rfc: 'RFC8489' },
  BAD_REQUEST: { code: 400, reason: 'Bad Request', rfc: 'RFC8489' },
  UNAUTHENTICATED: { code: 401, reason: 'Unauthenticated', rfc: 'RFC8489' },
  FORBIDDEN: { code: 403, reason: 'Forbidden', rfc: 'RFC8656' },
  MOBILITY_FORBIDDEN: { code: 405, reason: 'Mobility Forbidden', rfc: 'RFC8016' },
  UNKNOWN_ATTRIBUTE: { code: 420, reason: 'Unknown Attribute', rfc: 'RFC8489' },
  ALLOCATION_MISMATCH: { code: 437, reason: 'Allocation Mismatch', rfc: 'RFC8656' },
  STALE_NONCE: { code: 438, reason: 'Stale Nonce', rfc: 'RFC8489' },
  ADDRESS_FAMILY_NOT_SUPPORTED: { code: 440, reason: 'Address Family not Supported', rfc: 'RFC8656' },
  WRONG_CREDENTIALS: { code: 441, reason: 'Wrong Credentials', rfc: 'RFC8656' },
  UNSUPPORTED_TRANSPORT_PROTOCOL: { code: 442, reason: 'Unsupported Transport Protocol', rfc: 'RFC8656' },
  PEER_ADDRESS_FAMILY_MISMATCH: { code: 443, reason: 'Peer Address Family Mismatch', rfc: 'RFC8656' },
  CONNECTION_ALREADY_EXISTS: { code: 446, reason: 'Connection Already Exists', rfc: 'RFC6062' },
  CONNECTION_TIMEOUT_OR_FAILURE: { code: 447, reason: 'Connection Timeout or Failure', rfc: 'RFC6062' },
  ALLOCATION_QUOTA_REACHED: { code: 486, reason: 'Allocation Quota Reached', rfc: 'RFC8656' },
  ROLE_CONFLICT: { code: 487, reason: 'Role Conflict', rfc: 'RFC8445' },
  SERVER_ERROR: { code: 500, reason: 'Server Error', rfc: 'RFC8489' },
  INSUFFICIENT_CAPACITY: { code: 508, reason: 'Insufficient Capacity', rfc: 'RFC8656' },
} as const;
export type ErrorName = keyof typeof errorCodes;
