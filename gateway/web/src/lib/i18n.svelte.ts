// Which language the page speaks, remembered in this browser. Vietnamese unless somebody chose otherwise.
import * as fluent from './fluent';
import type { Lang } from './format';

const KEY = 'giot-language';

function remembered(): Lang {
  try {
    return localStorage.getItem(KEY) === 'en' ? 'en' : 'vi';
  } catch {
    // Storage may be forbidden; the page then starts in Vietnamese each time.
    return 'vi';
  }
}

class Language {
  current = $state<Lang>(remembered());

  choose(lang: Lang): void {
    this.current = lang;
    try {
      localStorage.setItem(KEY, lang);
    } catch {
      // The choice still holds until the page is closed.
    }
  }
}

export const language = new Language();

/** The message in the chosen language; used in markup, so it follows the choice. */
export function t(id: string, args: fluent.Args = {}): string {
  return fluent.message(language.current, id, args);
}
