/** Every STUN method of the IANA registry that an RFC defines. */
export const methods = {
  BINDING: { code: 0x001, rfc: 'RFC8489' },
  ALLOCATE: { code: 0x003, rfc: 'RFC8656' },
  REFRESH: { code: 0x004, rfc: 'RFC8656' },
  SEND: { code: 0x006, rfc: 'RFC8656' },
  DATA: { code: 0x007, rfc: 'RFC8656' },
  CREATE_PERMISSION: { code: 0x008, rfc: 'RFC8656' },
  CHANNEL_BIND: { code: 0x009, rfc: 'RFC8656' },
  CONNECT: { code: 0x00a, rfc: 'RFC6062' },
  CONNECTION_BIND: { code: 0x00b, rfc: 'RFC6062' },
  CONNECTION_ATTEMPT: { code: 0x00c, rfc: 'RFC6062' },
} as const;
export type MethodName = keyof typeof methods;
