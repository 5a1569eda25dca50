/** The little of node-turn (MIT, no types of its own) that tests use as a TURN server that is not ours. */
declare module 'node-turn' {
  interface Options {
    readonly authMech: 'long-term' | 'none';
    readonly credentials: Readonly<Record<string, string>>;
    readonly listeningIps: readonly string[];
    readonly relayIps: readonly string[];
    readonly listeningPort: number;
    readonly minPort: number;
    readonly maxPort: number;
  }
  export default class TurnServer {
    constructor(options: Options);
    start(): void;
    stop(): void;
  }
}
