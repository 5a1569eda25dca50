/** Unpredictable transaction ids for Data indications (RFC 8656 §11.3), drawn many at a time. */
import type { Random } from '../../../kernel/random.ts';
import { TRANSACTION_ID_LENGTH } from '../../stun/header.ts';

const AT_A_TIME = 512;

export class TransactionIds {
  readonly #random: Random;
  #pool: Uint8Array = new Uint8Array(0);
  #taken = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** 12 octets, a view that stays as it is. */
  next(): Uint8Array {
    if (this.#taken === this.#pool.length) {
      this.#pool = this.#random.bytes(AT_A_TIME * TRANSACTION_ID_LENGTH);
      this.#taken = 0;
    }
    this.#taken += TRANSACTION_ID_LENGTH;
    return this.#pool.subarray(this.#taken - TRANSACTION_ID_LENGTH, this.#taken);
  }
}
