// The two catalogues and how a message is taken from them. Pure: no state, no browser. A message that one language
// lacks is taken from the other, and an unknown id shows itself, so that nothing is ever silently blank.
import { FluentBundle, FluentResource } from '@fluent/bundle';
import en from '../../../locales/en.ftl?raw';
import vi from '../../../locales/vi.ftl?raw';
import type { Lang } from './format';

/** Numbers and dates are formatted by format.ts, so every argument is text; a bare number only selects a plural. */
export type Args = Record<string, string | number>;

function load(lang: Lang, text: string): FluentBundle {
  // Direction marks around arguments would end up in labels that tests and screen readers compare.
  const bundle = new FluentBundle(lang, { useIsolating: false });
  bundle.addResource(new FluentResource(text));
  return bundle;
}

const BUNDLES: Record<Lang, FluentBundle> = { vi: load('vi', vi), en: load('en', en) };

/** The message in one language, or nothing when it is missing or an argument that it needs is. */
export function lookup(lang: Lang, id: string, args: Args = {}): string | null {
  const bundle = BUNDLES[lang];
  const pattern = bundle.getMessage(id)?.value;
  if (!pattern) return null;
  const errors: Error[] = [];
  const text = bundle.formatPattern(pattern, args, errors);
  return errors.length === 0 ? text : null;
}

/** The message in the wanted language, else in the other one, else its id. */
export function message(lang: Lang, id: string, args: Args = {}): string {
  return lookup(lang, id, args) ?? lookup(lang === 'vi' ? 'en' : 'vi', id, args) ?? id;
}

/** Whether the catalogue of a language has a message of this id. */
export function has(lang: Lang, id: string): boolean {
  return BUNDLES[lang].hasMessage(id);
}
