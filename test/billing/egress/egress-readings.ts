/** Rows of `egress_samples` as relays and SFUs leave them: cumulative, with everything a test does not care about filled in. */
import type { Row } from '../../../collector/store/store.ts';

export function reading(row: Row): Row {
  return {
    app_id: 'demo',
    meter: 'turn',
    source: 'turnpike',
    server_id: 'relay-1',
    boot_id: 'boot-1',
    object_id: 'allocation-1',
    peer_class: 'internet',
    seq: 0,
    key_id: 'key',
    custom_id: '',
    call_id: '',
    participant_id: '',
    transport: 'udp',
    client_family: 4,
    relay_family: 4,
    final: false,
    client_rx_bytes: 0,
    client_rx_packets: 0,
    client_tx_packets: 0,
    peer_rx_bytes: 0,
    peer_rx_packets: 0,
    peer_tx_bytes: 0,
    peer_tx_packets: 0,
    ...row,
  };
}
