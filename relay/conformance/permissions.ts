/** Checks of permissions and CreatePermission (RFC 8656 §9, §10). */
import { attributes } from '../stun/attributes.ts';
import { attribute } from '../client/requests.ts';
import { familyOf, type Endpoint } from '../../kernel/address.ts';
import { checksOf } from './check.ts';
import type { Context } from './context.ts';
import { expectOutcome, outcomeOf, tell } from './finding.ts';
import type { Subject } from './subject.ts';

/** Milliseconds (RFC 8656 §9). */
export const PERMISSION_LIFETIME = 300_000;

/** An address of the family that the relayed address has not. */
export function otherFamily({ relayed }: Subject): Endpoint {
  return {
    address: familyOf(relayed.address) === 4 ? '2606:2800:220:1:248:1893:25c8:1946' : '93.184.216.34',
    port: 40_000,
  };
}

/** What a peer's datagrams become at a client, told. */
export async function heardFromPeer(context: Context, subject: Subject, send: () => void): Promise<string> {
  subject.heard();
  send();
  await context.breathe();
  await subject.settle();
  return subject.heard().length === 0 ? 'nothing' : 'relayed';
}

export const permissionChecks = checksOf('permissions', [
  {
    name: 'permission',
    section: 'RFC 8656 §10.2',
    expected: 'success',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      return expectOutcome(await subject.ask(subject.requests.createPermission([peer])), 'success');
    },
  },
  {
    name: 'permission-several-peers',
    section: 'RFC 8656 §10.2',
    expected: 'success',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.target(subject);
      const again = { ...peer, port: peer.port + 1 };
      return expectOutcome(await subject.ask(subject.requests.createPermission([peer, again])), 'success');
    },
  },
  {
    name: 'permission-without-peer',
    section: 'RFC 8656 §10.2',
    expected: '400',
    async run(context) {
      const subject = await context.allocated();
      return expectOutcome(await subject.ask(subject.requests.createPermission([])), 400);
    },
  },
  {
    name: 'permission-malformed-peer',
    section: 'RFC 8656 §10.2',
    expected: '400 to an XOR-PEER-ADDRESS of a family that does not exist',
    async run(context) {
      const subject = await context.allocated();
      const more = [attribute(attributes.XOR_PEER_ADDRESS.type, Buffer.from([0, 9, 0x80, 0, 1, 2, 3, 4]))];
      return expectOutcome(await subject.ask(subject.requests.createPermission([], { more })), 400);
    },
  },
  {
    name: 'permission-without-allocation',
    section: 'RFC 8656 §5',
    expected: '437',
    async run(context) {
      const subject = await context.known();
      const peer = { address: '93.184.216.34', port: 40_000 };
      return expectOutcome(await subject.ask(subject.requests.createPermission([peer])), 437);
    },
  },
  {
    name: 'permission-other-family',
    section: 'RFC 8656 §10.2',
    expected: '443',
    async run(context) {
      const subject = await context.allocated();
      return expectOutcome(await subject.ask(subject.requests.createPermission([otherFamily(subject)])), 443);
    },
  },
  {
    name: 'permission-all-or-none',
    section: 'RFC 8656 §10.2',
    expected: '443, and no permission for the peer of the right family either',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      const exchange = await subject.ask(subject.requests.createPermission([peer.endpoint, otherFamily(subject)]));
      if (outcomeOf(exchange) !== 443) return { conforms: false, got: tell(exchange) };
      const heard = await heardFromPeer(context, subject, () => peer.send(context.payload(20), subject.relayed));
      return { conforms: heard === 'nothing', got: `443, then ${heard}` };
    },
  },
  {
    name: 'permission-for-address-not-port',
    section: 'RFC 8656 §9',
    expected: 'data from every port of the permitted address',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.permit({ ...peer.endpoint, port: 9 });
      const delivery = await subject.hears(() => peer.send(context.payload(20), subject.relayed));
      return { conforms: delivery?.type === 'indication', got: delivery?.type ?? 'nothing' };
    },
  },
  {
    name: 'permission-ends-after-300-s',
    section: 'RFC 8656 §9',
    expected: 'relayed at 290 s, dropped at 310 s, data in between notwithstanding',
    slow: true,
    class: 'security',
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.permit(peer.endpoint);
      await context.wait(PERMISSION_LIFETIME - 10_000);
      const send = (): void => {
        subject.client.sendTo(peer.endpoint, context.payload(20));
        peer.send(context.payload(20), subject.relayed);
      };
      if ((await subject.hears(send)) === undefined) return { conforms: false, got: 'dropped at 290 s already' };
      await context.wait(20_000);
      const heard = await heardFromPeer(context, subject, send);
      return { conforms: heard === 'nothing', got: heard === 'nothing' ? 'dropped at 310 s' : 'relayed at 310 s' };
    },
  },
  {
    name: 'permission-refreshed',
    section: 'RFC 8656 §10.2',
    expected: 'relayed at 310 s after CreatePermission at 150 s',
    slow: true,
    async run(context) {
      const subject = await context.allocated();
      const peer = await context.peer(subject);
      await subject.permit(peer.endpoint);
      await context.wait(PERMISSION_LIFETIME / 2);
      await subject.permit(peer.endpoint);
      await context.wait(PERMISSION_LIFETIME / 2 + 10_000);
      const delivery = await subject.hears(() => peer.send(context.payload(20), subject.relayed));
      return { conforms: delivery !== undefined, got: delivery?.type ?? 'nothing' };
    },
  },
]);
