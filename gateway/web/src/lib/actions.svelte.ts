// What a person can ask the gateway to do, with one place that tells whether the asking itself failed. Success is not
// announced here: the page shows a valve's state only when the gateway has confirmed it.
import * as api from './api';
import { farm } from './farm.svelte';
import { language, t } from './i18n.svelte';
import { refusal } from './words';

class Notice {
  text = $state<string | null>(null);
}

/** The last failed request in words, until it is dismissed or another request succeeds. */
export const notice = new Notice();

/** Why a request failed, in words for the person who made it. */
export function explain(error: unknown): string {
  if (!(error instanceof api.ApiError) || error.status === 0) return t('failed-unreachable');
  const { code, args, detail } = error.problem;
  if (code !== undefined) {
    const known = refusal(language.current, farm.words, { code, args: args ?? {} });
    if (known !== null) return t('failed-refused', { why: known });
  }
  if (error.status === 401) return t('failed-sign-in');
  if (error.status === 429) return t('failed-too-many');
  return t('failed-other', { status: error.status, detail: detail ?? '' });
}

/** Runs a request; returns whether the gateway took it. */
export async function ask(request: () => Promise<void>): Promise<boolean> {
  try {
    await request();
    notice.text = null;
    return true;
  } catch (error) {
    if (error instanceof api.ApiError && error.status === 401) farm.needsSignIn = true;
    notice.text = explain(error);
    return false;
  }
}
