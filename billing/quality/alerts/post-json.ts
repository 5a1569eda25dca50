/** One HTTP POST of JSON with a deadline, as the deliveries need it. */

export interface PostOptions {
  /** Absolute http or https URL. Credentials in it are sent as Basic authorisation and never appear in an error. */
  readonly url: string;
  /** Milliseconds until the attempt is given up. */
  readonly timeout?: number;
}

/** A function that posts a body and resolves on 2xx; anything else rejects. */
export function poster({ url: text, timeout = 10_000 }: PostOptions): (body: unknown) => Promise<void> {
  const url = new URL(text);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  const basic = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64');
  const headers = {
    'content-type': 'application/json',
    ...(username === '' ? {} : { authorization: `Basic ${basic}` }),
  };
  return async (body) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(timeout),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the receiver answered ${answer.status}`);
  };
}
