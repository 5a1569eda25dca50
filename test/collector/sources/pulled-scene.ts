/** Servers that are asked for a page, for the conformance suite: their pages, and what is due for them. */
import { Poller } from '../../../collector/sources/poller.ts';
import { gradeOf, isPulled, sourceSettings } from '../../../collector/sources/source-settings.ts';
import { silentLog } from '../../../kernel/log.ts';
import { systemSleep } from '../../../kernel/sleep.ts';
import type { SourceParts, SourceUnderTest } from '../../conformance/source.ts';

/** The page at a URL that has this for its number. */
type PageOf = (number: string, started: number, url: string) => string;

interface Server {
  /** Clients are sent something for so many milliseconds. */
  carry(elapsed: number): void;
  /** Its page now. */
  page(url: string): string;
  /** What is due once its page was read at this moment. */
  read(at: number): bigint;
  restart(): void;
}

/** One that counts: what it had counted when it was first read is nobody's. */
class CountingServer implements Server {
  readonly #page: PageOf;
  #sent = 1_000_000n;
  #read: bigint | undefined;
  #starts = 1;

  constructor(page: PageOf) {
    this.#page = page;
  }

  carry(elapsed: number): void {
    this.#sent += BigInt(elapsed) * 41n + 7n;
  }

  page(url: string): string {
    return this.#page(`${this.#sent}`, 1_700_000_000 + this.#starts, url);
  }

  read(): bigint {
    const due = this.#read === undefined ? 0n : this.#sent - this.#read;
    this.#read = this.#sent;
    return due;
  }

  restart(): void {
    this.#starts += 1;
    this.#sent = 0n;
    this.#read = 0n;
  }
}

/** Galène tells rates: what is due is a rate over the time between two looks, where that is known. */
class RatingServer implements Server {
  readonly #bitrates = [700_000, 100_000];
  #lastRead: number | undefined;
  #hasClients = true;

  carry(): void {
    this.#hasClients = true;
  }

  page(): string {
    const tracks = this.#bitrates.map((bitrate) => ({ sid: 0, maxSid: 1, bitrate, loss: 0, rtt: 31.2, jitter: 1.1 }));
    const up = [{ id: 'u1', tracks: [{ bitrate: 9_000_000 }] }];
    const ann = { id: 'ann', up, down: [{ id: 'd1', maxBitrate: 800_000, tracks }] };
    return JSON.stringify([{ name: 'room', clients: this.#hasClients ? [ann] : [] }]);
  }

  read(at: number): bigint {
    const elapsed = at - (this.#lastRead ?? at);
    this.#lastRead = this.#hasClients ? at : undefined;
    return elapsed > 15_000 ? 0n : (800_000n * BigInt(elapsed)) / 8_000n;
  }

  /** Clients come back to it a moment later. */
  restart(): void {
    this.#hasClients = false;
  }

  /** A collector that is started anew has no look to go on from. */
  forget(): void {
    this.#lastRead = undefined;
  }
}

const counting: Readonly<Record<string, { fields?: object; names?: SourceUnderTest['names']; page: PageOf }>> = {
  'ant-media': {
    fields: { url: 'https://server.test:5443/live' },
    names: { call: 'stage 1' },
    page: (sent, _, url) => {
      if (url === 'https://server.test:5443/live/rest/v2/broadcasts/list/0/50') {
        return '[{"streamId":"stage 1","status":"broadcasting","webRTCViewerCount":1},{"streamId":"idle","webRTCViewerCount":0}]';
      }
      if (url !== 'https://server.test:5443/live/rest/v2/broadcasts/stage%201/webrtc-client-stats/0/50') return '404';
      const video = `{"videoPacketsSent":9,"videoBytesSent":${sent}}`;
      return `[{"sendBitrate":5,"clientId":-7,"clientIp":"192.0.2.1","videoSentStats":${video},"audioSentStats":{"audioBytesSent":0}}]`;
    },
  },
  livekit: {
    page: (sent, started) => `# TYPE livekit_packet_bytes counter
livekit_packet_bytes{country="",direction="outgoing",node_id="ND_1",node_type="SERVER",transmission="initial"} ${sent}
livekit_packet_bytes{country="",direction="outgoing",node_id="ND_1",node_type="SERVER",transmission="retransmit"} 0
livekit_packet_bytes{country="",direction="incoming",node_id="ND_1",node_type="SERVER",transmission="initial"} 9e+09
process_start_time_seconds ${started}
`,
  },
  'jitsi-videobridge': {
    page: (sent) => `# TYPE jitsi_jvb_bytes_sent counter
jitsi_jvb_bytes_sent_total ${sent}.0
jitsi_jvb_bytes_received_total 7.0
jitsi_jvb_relay_bytes_sent_total 5000.0
`,
  },
  coturn: {
    page: (sent, started) => `# TYPE turn_traffic_sentb counter
turn_traffic_sentb{realm="example.org"} ${sent}
turn_traffic_rcvb{realm="example.org"} 77
process_start_time_seconds ${started}
`,
  },
  eturnal: {
    page: (sent) => `# TYPE eturnal_turn_relay_rcvd_bytes histogram
eturnal_turn_relay_rcvd_bytes_bucket{transport="udp",le="+Inf"} 2
eturnal_turn_relay_rcvd_bytes_count{transport="udp"} 2
eturnal_turn_relay_rcvd_bytes_sum{transport="udp"} ${sent}
eturnal_turn_relay_sent_bytes_sum{transport="udp"} 77
`,
  },
  prometheus: {
    fields: { metric: 'sent_bytes_total', match: { to: 'clients' } },
    page: (sent) => `sent_bytes_total{to="clients"} ${sent}\nsent_bytes_total{to="peers"} 77\n`,
  },
  json: {
    fields: { pointer: '/stats/total_bytes_sent' },
    page: (sent) => `{"stats":{"total_bytes_sent":${sent},"total_bytes_received":77}}`,
  },
};

const counters = Object.entries(counting).map(([kind, { fields = {}, names = {}, page }]) =>
  pulled({ kind, fields, names, make: () => new CountingServer(page), page }),
);
const galene = pulled({
  kind: 'galene',
  fields: {},
  names: { call: 'room', participant: 'ann' },
  make: () => new RatingServer(),
  page: (rate) => `[{"name":"room","clients":[{"id":"ann","down":[{"tracks":[{"bitrate":${rate}}]}]}]}]`,
});

export const pulledSources: readonly SourceUnderTest[] = [...counters, galene];

interface Pulled {
  readonly kind: string;
  readonly fields: object;
  readonly names: SourceUnderTest['names'];
  readonly make: () => Server;
  readonly page: PageOf;
}

function pulled({ fields, kind, make, names, page: pageOf }: Pulled): SourceUnderTest {
  const settingsFor = (name: string) => {
    const settings = sourceSettings.parse({ name, kind, url: 'http://server.test/', ...fields });
    if (!isPulled(settings)) throw new Error(`${kind} is not asked`);
    return { ...settings, app: 'demo' };
  };
  return {
    kind,
    grade: gradeOf(settingsFor('any')),
    names,
    isAsked: true,
    open: async (parts) => sceneOf(parts, settingsFor(parts.name), make(), pageOf),
  };
}

function sceneOf(
  { clock, metrics, name, store }: SourceParts,
  settings: ConstructorParameters<typeof Poller>[0]['settings'],
  server: Server,
  pageOf: PageOf,
) {
  const interval = settings.intervalSeconds * 1_000;
  let answer = (url: string) => server.page(url);
  const collector = () =>
    new Poller({
      settings: { ...settings, name },
      reader: store,
      writer: store,
      fetch: async (url) => answer(url),
      sleep: systemSleep,
      clock,
      log: silentLog,
      metrics,
    });
  let poller = collector();
  const look = async () => {
    answer = (url) => server.page(url);
    await poller.tick();
    return server.read(clock.now());
  };
  const pass = () => {
    clock.advance(interval);
    server.carry(interval);
  };
  const tell = (page: (url: string) => string) => async () => {
    answer = page;
    await poller.tick();
  };
  const away = async () => {
    answer = () => {
      throw new Error('the server does not answer');
    };
    await poller.tick();
  };
  return {
    carry: async () => {
      pass();
      return look();
    },
    restart: async () => {
      server.restart();
      if (server instanceof RatingServer) {
        clock.advance(interval);
        await look();
      }
    },
    disappear: async () => {
      for (let looks = 0; looks < 4; looks += 1) {
        pass();
        await away();
      }
    },
    appear: async () => {
      pass();
      return look();
    },
    repeat: async () => void (await look()),
    nonsense: {
      'nothing at all': tell(() => ''),
      'another page': tell(() => '<html><h1>502 Bad Gateway</h1></html>'),
      'another document': tell(() => '{"stats":{"uptime":7}}'),
      'no number': tell((url) => pageOf('NaN', 1, url)),
      'a negative number': tell((url) => pageOf('-1', 1, url)),
      'no answer': away,
    },
    restartCollector: async () => {
      poller = collector();
      if (server instanceof RatingServer) server.forget();
    },
    close: async () => undefined,
  };
}
