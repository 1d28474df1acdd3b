const mostMails = 10_000;

/**
 * Which mails were sent, of the last 10,000 of this process, by the ids of their messages. A mail that is still under way is
 * waited for and not sent beside itself: a server that hangs must not get one more connection with each try.
 */
export class SentMails {
  readonly #mails = new Map<string, Promise<unknown>>();

  async once(id: string, send: () => Promise<unknown>): Promise<void> {
    let mail = this.#mails.get(id);
    if (mail === undefined) {
      mail = send();
      this.#mails.set(id, mail);
      const [oldest] = this.#mails.keys();
      if (this.#mails.size > mostMails && oldest !== undefined) this.#mails.delete(oldest);
    }
    try {
      await mail;
    } catch (error) {
      if (this.#mails.get(id) === mail) this.#mails.delete(id);
      throw error;
    }
  }
}
