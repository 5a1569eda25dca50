// Runs before a page's own scripts: keeps every RTCPeerConnection that the page makes, and reads what the browser
// itself counted on each, without the page's help.
const keptConnections = [];

globalThis.RTCPeerConnection = class extends globalThis.RTCPeerConnection {
  constructor(configuration) {
    super(configuration);
    keptConnections.push(this);
  }
};

globalThis.peerFigures = () => Promise.all(keptConnections.map(figuresOf));

/** How each connection's own candidate reaches the relay: udp, tcp or tls. */
globalThis.relayProtocols = () =>
  Promise.all(
    keptConnections.map(async (connection) => {
      const stats = await connection.getStats();
      const transport = [...stats.values()].find(({ type }) => type === 'transport');
      const pair = stats.get(transport?.selectedCandidatePairId);
      return stats.get(pair?.localCandidateId)?.relayProtocol ?? null;
    }),
  );

/** What each connection's browser says of the network: packets received and lost, and the round trip in seconds. */
globalThis.networkFigures = () =>
  Promise.all(
    keptConnections.map(async (connection) => {
      const stats = await connection.getStats();
      const transport = [...stats.values()].find(({ type }) => type === 'transport');
      const audio = [...stats.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
      return {
        received: audio?.packetsReceived ?? 0,
        lost: audio?.packetsLost ?? 0,
        roundTrip: stats.get(transport?.selectedCandidatePairId)?.currentRoundTripTime ?? 0,
      };
    }),
  );

/** The relayed address of each connection's own candidate in use, as `address:port`. */
globalThis.relayedAddresses = () =>
  Promise.all(
    keptConnections.map(async (connection) => {
      const stats = await connection.getStats();
      const transport = [...stats.values()].find(({ type }) => type === 'transport');
      const pair = stats.get(transport?.selectedCandidatePairId);
      const { candidateType, address, port } = stats.get(pair?.localCandidateId) ?? {};
      return candidateType === 'relay' ? `${address}:${port}` : null;
    }),
  );

async function figuresOf(connection) {
  const stats = [...(await connection.getStats()).values()];
  const byId = new Map(stats.map((one) => [one.id, one]));
  const transport = stats.find(({ type }) => type === 'transport');
  const pair = byId.get(transport?.selectedCandidatePairId) ?? {};
  const inbound = (kind, member) =>
    stats
      .filter((one) => one.type === 'inbound-rtp' && one.kind === kind)
      .reduce((total, one) => total + (one[member] ?? 0), 0);
  return {
    localCandidateType: byId.get(pair.localCandidateId)?.candidateType ?? null,
    bytesReceived: pair.bytesReceived ?? 0,
    packetsReceived: pair.packetsReceived ?? 0,
    bytesSent: pair.bytesSent ?? 0,
    packetsSent: pair.packetsSent ?? 0,
    checksReceived: (pair.requestsReceived ?? 0) + (pair.responsesReceived ?? 0),
    framesDecoded: inbound('video', 'framesDecoded'),
    audioEnergy: inbound('audio', 'totalAudioEnergy'),
  };
}
