/** Something with the shape of mediasoup's Transport: its package cannot be installed without a download from elsewhere than the registry. */
import { EventEmitter } from 'node:events';
import type { MeteredTransport } from '../../../collector/mediasoup/index.ts';

export class FakeTransport implements MeteredTransport {
  readonly id: string;
  readonly appData: Record<string, unknown>;
  readonly observer = new EventEmitter();
  readonly type: string;
  closed = false;
  bytesSent = 0;
  constructor(id: string, appData: Record<string, unknown> = {}, type = 'webrtc-transport') {
    this.id = id;
    this.appData = appData;
    this.type = type;
  }
  async getStats() {
    if (this.closed) throw new Error('InvalidStateError: Transport closed');
    return [{ type: this.type, transportId: this.id, bytesReceived: 7, bytesSent: this.bytesSent }];
  }
  close(): void {
    this.closed = true;
    this.observer.emit('close');
  }
}
