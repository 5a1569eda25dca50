import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../kernel/random.ts';
import type { Link, LinkEvents } from '../../../relay/client/link.ts';
import { Requests } from '../../../relay/client/requests.ts';
import { Transactions } from '../../../relay/client/transactions.ts';
import { encodeMessage } from '../../../relay/stun/message-writer.ts';
import { methods } from '../../../relay/stun/methods.ts';
import { ManualTimer } from './manual-timer.ts';

class FakeLink implements Link {
  readonly local = { address: '127.0.0.1', port: 1 };
  readonly remote = { address: '127.0.0.1', port: 2 };
  readonly transport: 'udp' | 'tcp';
  readonly sentAt: number[] = [];
  isClosed = false;
  events: LinkEvents | undefined;
  readonly #timer: ManualTimer;
  constructor(transport: 'udp' | 'tcp', timer: ManualTimer) {
    this.transport = transport;
    this.#timer = timer;
  }
  send(): void {
    this.sentAt.push(this.#timer.monotonic());
  }
  listen(events: LinkEvents): void {
    this.events = events;
  }
  close(): void {
    this.isClosed = true;
  }
}

function bench(transport: 'udp' | 'tcp' = 'udp') {
  const timer = new ManualTimer();
  const link = new FakeLink(transport, timer);
  const strays: Buffer[] = [];
  const transactions = new Transactions({ link, clock: timer, timer, onFrame: (frame) => strays.push(frame) });
  const requests = new Requests({ username: 'u', credential: 'c' }, seededRandom('transactions'));
  return { timer, link, strays, transactions, requests };
}

function answerTo(request: Uint8Array): Buffer {
  const head = {
    method: methods.BINDING.code,
    messageClass: 'success',
    transactionId: request.subarray(8, 20),
  } as const;
  return Buffer.from(encodeMessage(new Uint8Array(64), head, []));
}

describe('a transaction', () => {
  it('is sent again over UDP after 500 ms, then after twice as long each time (RFC 8489 §6.2.1)', async () => {
    const { timer, link, transactions, requests } = bench();
    const exchange = transactions.ask(requests.binding());
    timer.advance(8_000);
    expect(link.sentAt).toEqual([0, 500, 1_500, 3_500, 7_500]);
    expect(await exchange).toEqual({ type: 'silence' });
    expect(timer.size).toBe(0);
  });

  it('is sent once over a stream, which repeats by itself', async () => {
    const { timer, link, transactions, requests } = bench('tcp');
    const exchange = transactions.ask(requests.binding());
    timer.advance(8_000);
    expect(link.sentAt).toEqual([0]);
    expect(await exchange).toEqual({ type: 'silence' });
  });

  it('ends with its answer, timed from the last sending', async () => {
    const { timer, link, transactions, requests } = bench();
    const request = requests.binding();
    const exchange = transactions.ask(request);
    timer.advance(520);
    link.events?.frame(answerTo(request));
    timer.advance(10_000);
    expect(await exchange).toMatchObject({ type: 'answer', roundTrip: 20, sent: 2 });
    expect(link.sentAt).toHaveLength(2);
    expect(timer.size).toBe(0);
  });

  it('takes no answer of another one, nor a second one', async () => {
    const { link, strays, transactions, requests } = bench();
    const [request, other] = [requests.binding(), requests.binding()];
    const exchange = transactions.ask(request);
    link.events?.frame(answerTo(other));
    link.events?.frame(answerTo(request));
    link.events?.frame(answerTo(request));
    expect(await exchange).toMatchObject({ type: 'answer', sent: 1 });
    expect(strays).toHaveLength(2);
  });

  it('tells a malformed answer from none', async () => {
    const { link, transactions, requests } = bench();
    const request = requests.binding();
    const exchange = transactions.ask(request);
    link.events?.frame(Buffer.concat([answerTo(request), Buffer.alloc(4)]));
    expect(await exchange).toEqual({ type: 'malformed', fault: 'length_mismatch' });
  });

  it('ends with its link, and none begins after it', async () => {
    const { link, transactions, requests } = bench();
    const exchange = transactions.ask(requests.binding());
    link.events?.ended('ECONNREFUSED');
    expect(await exchange).toEqual({ type: 'ended', reason: 'ECONNREFUSED' });
    expect(await transactions.ask(requests.binding())).toEqual({ type: 'ended', reason: 'ECONNREFUSED' });
    expect(link.sentAt).toHaveLength(1);
  });

  it('ends when the client closes', async () => {
    const { link, timer, transactions, requests } = bench();
    const exchange = transactions.ask(requests.binding());
    transactions.close();
    expect(await exchange).toEqual({ type: 'ended', reason: 'closed' });
    expect(link.isClosed).toBe(true);
    expect(timer.size).toBe(0);
  });
});
