/** One line that says what is going on, for somebody who watches a terminal; nothing where nobody does. */
export class Progress {
  readonly #to: NodeJS.WriteStream;

  constructor(to: NodeJS.WriteStream) {
    this.#to = to;
  }

  show(text: string): void {
    if (this.#to.isTTY) this.#to.write(`\r\u001b[K${text}`);
  }

  end(): void {
    if (this.#to.isTTY) this.#to.write('\r\u001b[K');
  }
}
