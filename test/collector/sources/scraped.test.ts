import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { samplesOf, wholeNumber } from '../../../collector/sources/exposition.ts';
import { countersIn, meterOf, type CounterSettings } from '../../../collector/sources/scraped.ts';
import { isPulled, sourceSettings } from '../../../collector/sources/source-settings.ts';

const vector = (name: string) => readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8');

function settings(fields: Record<string, unknown>): CounterSettings {
  const parsed = sourceSettings.parse({ name: 'sfu', url: 'http://127.0.0.1:9/metrics', ...fields });
  if (!isPulled(parsed) || parsed.kind === 'galene' || parsed.kind === 'ant-media') throw new Error('not a pulled one');
  return parsed;
}

describe('a server that is asked', () => {
  it.each([
    ['livekit', 'sfu'],
    ['jitsi-videobridge', 'sfu'],
    ['coturn', 'turn'],
    ['eturnal', 'turn'],
  ])('is billed as what it is: %s as %s', (kind, meter) => {
    expect(meterOf(settings({ kind }))).toBe(meter);
  });

  it('is an SFU where it is not said to be TURN', () => {
    const any = { kind: 'prometheus', metric: 'sent_bytes_total' };
    expect([meterOf(settings(any)), meterOf(settings({ ...any, meter: 'turn' }))]).toEqual(['sfu', 'turn']);
  });
});

describe('the Prometheus text format', () => {
  it('has names, labels and values as they were written, whatever is in a label', () => {
    const label = fc.stringMatching(/^[a-z_]{1,8}$/);
    const labels = fc.dictionary(label, fc.string({ unit: 'binary' }), { maxKeys: 4 });
    const escape = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
    fc.assert(
      fc.property(labels, fc.nat(), (set, value) => {
        fc.pre(!Object.values(set).some((text) => text.includes('\r')));
        const inner = Object.entries(set).map(([name, text]) => `${name}="${escape(text)}"`);
        const line = `a_total{${inner.join(',')}} ${value} 1700000000000`;
        expect([...samplesOf(`# TYPE a_total counter\n${line}\n`, new Set(['a_total']))]).toEqual([
          { name: 'a_total', labels: { ...set }, value: `${value}` },
        ]);
      }),
    );
  });

  it('is read in any text without failing, and without a sample that is none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect([...samplesOf(`a_total${text}`, new Set(['a_total']))].every(({ name }) => name === 'a_total')).toBe(
          true,
        );
      }),
    );
  });

  it.each([
    ['1.2345e+09', 1_234_500_000n],
    ['18446744073709551615', undefined],
    ['9223372036854775', 9_223_372_036_854_775n],
    ['0', 0n],
    ['NaN', undefined],
    ['+Inf', undefined],
    ['-1', undefined],
    ['1e308', undefined],
    ['', 0n],
  ])('%s is %s bytes', (text, bytes) => {
    expect(text === '' ? 0n : wholeNumber(text)).toBe(bytes);
  });
});

describe('a page of metrics', () => {
  const livekit = `# TYPE livekit_packet_bytes counter
livekit_packet_bytes{country="",direction="outgoing",node_id="ND_1",node_type="SERVER",transmission="initial"} 1.2345e+09
livekit_packet_bytes{country="",direction="outgoing",node_id="ND_1",node_type="SERVER",transmission="retransmit"} 3.2e+06
livekit_packet_bytes{country="",direction="incoming",node_id="ND_1",node_type="SERVER",transmission="initial"} 9e+09
process_start_time_seconds 1.7e+09
`;

  it('of LiveKit tells what each node sent, first and again, and which run it is', () => {
    const found = countersIn(settings({ kind: 'livekit' }), livekit);
    expect(found.map(({ bytes, run, serverId }) => [serverId, bytes, run])).toEqual([
      ['ND_1', 1_234_500_000n, '1.7e+09'],
      ['ND_1', 3_200_000n, '1.7e+09'],
    ]);
    expect(new Set(found.map(({ objectId }) => objectId)).size).toBe(2);
  });

  it('of coturn tells nothing before a session has ended, and then what it sent to its client', () => {
    const read = (moment: string) =>
      countersIn(settings({ kind: 'coturn' }), vector(`coturn-4.17.1-prometheus.${moment}.txt`));
    expect(read('0-before')).toEqual([]);
    expect(read('1-during-5s')).toEqual([]);
    const after = read('3-after-close');
    expect(after.length).toBeGreaterThan(0);
    expect(after.every(({ bytes, serverId }) => bytes > 0n && serverId === 'sfu')).toBe(true);
  });

  it('of any other server is read by metric and labels', () => {
    const any = { kind: 'prometheus', metric: 'livekit_packet_bytes', match: { direction: 'incoming' } };
    expect(countersIn(settings(any), livekit)).toMatchObject([{ serverId: 'sfu', bytes: 9_000_000_000n }]);
  });

  it('without the metric is a fault, not a server that has sent nothing', () => {
    expect(() => countersIn(settings({ kind: 'jitsi-videobridge' }), livekit)).toThrow(
      'there is no jitsi_jvb_bytes_sent_total in the answer',
    );
  });

  it('names nobody in the names of its series', () => {
    const text = `turn_traffic_sentb{realm="example.test",user="1795220276:alice"} 2076518\n`;
    const [one] = countersIn(settings({ kind: 'prometheus', metric: 'turn_traffic_sentb' }), text);
    expect(one?.objectId).toMatch(/^[0-9a-f]{64}$/);
  });

  it('has names of at most 128 octets for its series', () => {
    const text = `a_total{long="${'x'.repeat(500)}"} 1\n`;
    const [one] = countersIn(settings({ kind: 'prometheus', metric: 'a_total' }), text);
    expect(one?.objectId).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('a JSON document', () => {
  const colibri = JSON.stringify({ total_bytes_sent: 4_096, nested: { 'a/b': ['7'] }, conferences: 2 });

  it.each([
    ['/total_bytes_sent', 4_096n],
    ['/nested/a~1b/0', 7n],
  ])('has its counter at %s', (pointer, bytes) => {
    expect(countersIn(settings({ kind: 'json', pointer }), colibri)).toMatchObject([{ bytes, objectId: 'all' }]);
  });

  it.each(['/missing', '/nested', '/constructor/name', '/__proto__'])('has none at %s', (pointer) => {
    expect(() => countersIn(settings({ kind: 'json', pointer }), colibri)).toThrow('there is no counter');
  });
});
