/**
 * A program that is one UDP socket, for test/system/remote-socket.ts: bound to the address of its first argument, it prints
 * where it is, and then what arrives; what it reads it sends. One JSON object a line. It ends with its standard input.
 */
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';
import type { Datagram } from './remote-socket.ts';

const socket = createSocket('udp4');
const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

socket.on('message', (bytes, { address, port }) =>
  say({ address, port, bytes: bytes.toString('base64') } satisfies Datagram),
);
socket.bind(0, process.argv[2], () => say(socket.address()));
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const { address, port, bytes } = JSON.parse(line) as Datagram;
  socket.send(Buffer.from(bytes, 'base64'), port, address);
});
input.on('close', () => socket.close());
