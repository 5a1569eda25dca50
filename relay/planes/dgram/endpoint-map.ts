/** A map keyed by address and port, so that no key text is built for a packet. Addresses are canonical text. */
export class EndpointMap<V> {
  readonly #byAddress = new Map<string, Map<number, V>>();

  get isEmpty(): boolean {
    return this.#byAddress.size === 0;
  }

  get(address: string, port: number): V | undefined {
    return this.#byAddress.get(address)?.get(port);
  }

  set(address: string, port: number, value: V): void {
    const byPort = this.#byAddress.get(address);
    if (byPort === undefined) this.#byAddress.set(address, new Map([[port, value]]));
    else byPort.set(port, value);
  }

  delete(address: string, port: number): void {
    const byPort = this.#byAddress.get(address);
    if (byPort?.delete(port) === true && byPort.size === 0) this.#byAddress.delete(address);
  }
}
