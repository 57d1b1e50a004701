// How the history itself does: whether its disk has room, what was given up for room, what was lost by damage. Asked now and then,
// not streamed: it changes rarely. Shows nothing; what is not answered is asked again.
import * as api from './api';
import type { StoreHealth } from './types';

/** A full disk is told within a minute; the question reads two rows. */
const ASK_MS = 60_000;

class Health {
  store = $state.raw<StoreHealth | null>(null);
  #n = 0;

  /** Asks until the function it returns is called. */
  watch(): () => void {
    this.#n += 1;
    const mine = this.#n;
    void this.#ask(mine);
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') void this.#ask(mine);
    }, ASK_MS);
    return () => clearInterval(timer);
  }

  async #ask(mine: number): Promise<void> {
    try {
      const store = await api.storeHealth();
      if (mine === this.#n) this.store = store;
    } catch {
      // A gateway that is not reached is told elsewhere.
    }
  }
}

export const health = new Health();
