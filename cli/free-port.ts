/** Port 0 made concrete, once: a part that is started again must come back where its clients look for it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

export async function freeTcpPort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export async function freeUdpPort(host: string): Promise<number> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** A port that is free for UDP and for TCP on each of these addresses. */
export async function freeTurnPort(hosts: readonly string[]): Promise<number> {
  const [first = '127.0.0.1'] = hosts;
  for (;;) {
    const port = await freeUdpPort(first);
    const free = await Promise.all(hosts.flatMap((host) => [isFree(host, port, 'udp'), isFree(host, port, 'tcp')]));
    if (free.every(Boolean)) return port;
  }
}

async function isFree(host: string, port: number, transport: 'udp' | 'tcp'): Promise<boolean> {
  const isIpv6 = host.includes(':');
  const place =
    transport === 'tcp'
      ? createServer().listen({ host, port, ipv6Only: isIpv6 })
      : createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6 }).bind(port, host);
  try {
    await once(place, 'listening');
  } catch {
    return false;
  }
  place.close();
  await once(place, 'close');
  return true;
}
