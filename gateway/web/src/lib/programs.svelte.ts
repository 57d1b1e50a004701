// The programs as the gateway last told them, and what they bring in the next days. Asked again whenever the farm's picture
// changes while somebody looks; the costly preview only when a program or a pause did.
import { explain } from './actions.svelte';
import * as api from './api';
import { farm } from './farm.svelte';
import { farmDay } from './format';
import type { Preview, Programs } from './types';

export const PREVIEW_DAYS = 7;

class Schedule {
  all = $state.raw<Programs | null>(null);
  preview = $state.raw<Preview | null>(null);
  problem = $state<string | null>(null);

  /** What the preview was made from. */
  #previewOf = '';
  #busy = false;
  #again = false;

  /** Asks the gateway; a wish that comes meanwhile is served right afterwards, and once. */
  async refresh(): Promise<void> {
    this.#again = true;
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#again) {
        this.#again = false;
        await this.#load();
      }
      this.problem = null;
    } catch (error) {
      this.problem = explain(error);
    } finally {
      this.#busy = false;
    }
  }

  async #load(): Promise<void> {
    this.all = await api.programs();
    // Without a clock the gateway cannot say when anything starts; the page says so above.
    if (!farm.overview?.clock_set) return;
    const of = JSON.stringify([this.all, farmDay(farm.now, farm.offsetMin)]);
    if (of === this.#previewOf) return;
    this.preview = await api.preview(PREVIEW_DAYS);
    this.#previewOf = of;
  }
}

export const schedule = new Schedule();
