/** A site of somebody else's, with a page that makes one call through the relay and observes it with two lines of the SDK. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ForeignSite {
  /** Its page has `start()` and then `hangUp()`. */
  readonly url: string;
  close(): void;
}

/** `session` is JSON: `{ peers: [{ iceServers, reporting }, …] }`. */
export async function foreignSite(service: string, session: string): Promise<ForeignSite> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(foreignPage(service, session));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function foreignPage(service: string, session: string): string {
  return `<!doctype html><title>Another site</title><canvas width="320" height="240"></canvas>
<script src="${service}/turnpike.js"></script>
<script>
  const session = ${session};
  async function start() {
    const context = document.querySelector('canvas').getContext('2d');
    setInterval(() => { context.fillStyle = 'hsl(' + (performance.now() / 10) % 360 + ' 80% 50%)'; context.fillRect(0, 0, 320, 240); }, 33);
    const audio = new AudioContext(), tone = audio.createOscillator(), out = audio.createMediaStreamDestination();
    tone.connect(out); tone.start();
    const stream = new MediaStream([...document.querySelector('canvas').captureStream(30).getTracks(), ...out.stream.getTracks()]);
    const peers = session.peers.map(({ iceServers, reporting }) => {
      const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
      turnpike.observe(pc, reporting);
      const player = document.body.appendChild(document.createElement('video'));
      player.autoplay = true;
      pc.ontrack = ({ streams }) => { player.srcObject = streams[0]; };
      return pc;
    });
    const [a, b] = peers;
    a.onicecandidate = ({ candidate }) => b.addIceCandidate(candidate);
    b.onicecandidate = ({ candidate }) => a.addIceCandidate(candidate);
    for (const track of stream.getTracks()) for (const pc of peers) pc.addTrack(track, stream);
    await a.setLocalDescription();
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription();
    await a.setRemoteDescription(b.localDescription);
    globalThis.hangUp = () => peers.forEach((pc) => pc.close());
  }
</script>`;
}
