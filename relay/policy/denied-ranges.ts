/**
 * Addresses no peer may have unless an operator lifts the range: everything IANA's special-purpose registries
 * (RFC 6890 and its updates) mark as not globally reachable, what is multicast or reserved, transition prefixes that
 * would carry a packet to an IPv4 address in disguise, and platform services that live on public addresses.
 */
export interface DeniedRange {
  readonly range: string;
  readonly why: string;
}

export const deniedRanges: readonly DeniedRange[] = [
  { range: '0.0.0.0/8', why: 'this network (RFC 791); 0.0.0.0 reaches the local host on many systems' },
  { range: '10.0.0.0/8', why: 'private use (RFC 1918)' },
  { range: '100.64.0.0/10', why: 'shared address space behind carrier NAT (RFC 6598)' },
  { range: '127.0.0.0/8', why: 'loopback (RFC 1122)' },
  { range: '168.63.129.16/32', why: 'Azure platform services (metadata, wire server) on a public address' },
  { range: '169.254.0.0/16', why: 'link-local (RFC 3927), with the cloud metadata service at 169.254.169.254' },
  { range: '172.16.0.0/12', why: 'private use (RFC 1918)' },
  { range: '192.0.0.0/24', why: 'IETF protocol assignments (RFC 6890)' },
  { range: '192.0.2.0/24', why: 'documentation (RFC 5737)' },
  { range: '192.31.196.0/24', why: 'AS112-v4 (RFC 7535)' },
  { range: '192.52.193.0/24', why: 'AMT relay anycast (RFC 7450)' },
  { range: '192.88.99.0/24', why: '6to4 relay anycast, deprecated (RFC 7526)' },
  { range: '192.168.0.0/16', why: 'private use (RFC 1918)' },
  { range: '192.175.48.0/24', why: 'direct delegation AS112 (RFC 7534)' },
  { range: '198.18.0.0/15', why: 'benchmarking (RFC 2544)' },
  { range: '198.51.100.0/24', why: 'documentation (RFC 5737)' },
  { range: '203.0.113.0/24', why: 'documentation (RFC 5737)' },
  { range: '224.0.0.0/4', why: 'multicast (RFC 5771)' },
  { range: '240.0.0.0/4', why: 'reserved (RFC 1112), with the limited broadcast address' },
  { range: '::/128', why: 'unspecified (RFC 4291)' },
  { range: '::1/128', why: 'loopback (RFC 4291)' },
  { range: '64:ff9b::/96', why: 'NAT64 well-known prefix (RFC 6052)' },
  { range: '64:ff9b:1::/48', why: 'NAT64 local-use prefix (RFC 8215)' },
  { range: '100::/64', why: 'discard only (RFC 6666)' },
  { range: '100:0:0:1::/64', why: 'dummy prefix (RFC 9780)' },
  { range: '2001::/23', why: 'IETF protocol assignments (RFC 2928), with Teredo (RFC 4380) and ORCHIDv2 (RFC 7343)' },
  { range: '2001:db8::/32', why: 'documentation (RFC 3849)' },
  { range: '2002::/16', why: '6to4 (RFC 3056)' },
  { range: '3fff::/20', why: 'documentation (RFC 9637)' },
  { range: '5f00::/16', why: 'segment routing identifiers (RFC 9602)' },
  { range: 'fc00::/7', why: 'unique local (RFC 4193), with the cloud metadata service at fd00:ec2::254' },
  { range: 'fe80::/10', why: 'link-local (RFC 4291)' },
  { range: 'fec0::/10', why: 'site-local, deprecated (RFC 3879)' },
  { range: 'ff00::/8', why: 'multicast (RFC 4291)' },
];
