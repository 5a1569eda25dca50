import { describe, expect, it } from 'vitest';
import { parseServerUrl } from '../../../relay/client/server-url.ts';

describe('a server URL (RFC 7064, RFC 7065)', () => {
  it.each([
    ['stun:turn.example.org', false, ['udp turn.example.org 3478']],
    ['stuns:turn.example.org', false, ['tls turn.example.org 5349']],
    ['turn:turn.example.org?transport=udp', true, ['udp turn.example.org 3478']],
    ['turn:192.0.2.7:80?transport=tcp', true, ['tcp 192.0.2.7 80']],
    ['turns:turn.example.org:443?transport=tcp', true, ['tls turn.example.org 443']],
    ['turns:turn.example.org', true, ['tls turn.example.org 5349']],
    ['TURN:[2001:db8::7]:3478?transport=UDP', true, ['udp 2001:db8::7 3478']],
  ])('%s names one way', (text, relays, ways) => {
    const parsed = parseServerUrl(text);
    expect(parsed?.relays).toBe(relays);
    expect(parsed?.routes.map(({ transport, host, port }) => `${transport} ${host} ${port}`)).toEqual(ways);
  });

  it('names every way when a turn: URL leaves the transport open', () => {
    const routes = parseServerUrl('turn:turn.example.org:3479')?.routes ?? [];
    expect(routes.map(({ transport, port }) => `${transport} ${port}`)).toEqual(['udp 3479', 'tcp 3479', 'tls 5349']);
  });

  it.each([
    'turn.example.org',
    'http://turn.example.org',
    'turn://turn.example.org',
    'turn:',
    'turn:host:0',
    'turn:host:70000',
    'turn:user@host',
    'turn:host?transport=sctp',
    'turns:host?transport=udp',
    'stun:host?transport=udp',
    'turn:[::zz]:1',
    'turn:host/path',
    'turn:ho st',
  ])('refuses %j', (text) => {
    expect(parseServerUrl(text)).toBeUndefined();
  });
});
